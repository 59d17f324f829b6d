/**
 * Stands in front of an IMAP server, passes every byte, and counts the commands that come by: what a client
 * costs that server. One pass over the client's bytes and none, but around literals, over the server's.
 */
import { createCommandSplitter, type SentCommand } from "./command-splitter.ts";
import { connectBehind, serveTcp } from "./tcp-server.ts";

export interface CountedCommand extends SentCommand {
  /** 1 for the first connection that was made to the proxy. */
  readonly connection: number;
}

export interface CountingProxy {
  readonly port: number;
  /** How many connections were made, all in all. */
  readonly connections: number;
  /** Since the start or the last reset, in order; a command counts when its last byte has come. */
  commands(): readonly CountedCommand[];
  /** By verb (`UID STORE`, `SELECT`, `DONE`), of one connection or of all. */
  counts(connection?: number): Record<string, number>;
  /** The commands as they were sent, without tags, literals' bytes and passwords. */
  lines(connection?: number): string[];
  reset(): void;
  close(): Promise<void>;
}

export async function startCountingProxy(targetPort: number): Promise<CountingProxy> {
  let commands: CountedCommand[] = [];
  let connections = 0;
  const { port, close } = await serveTcp((client) => {
    const connection = ++connections;
    const target = connectBehind(client, targetPort);
    const splitter = createCommandSplitter((command) => commands.push({ connection, ...command }));
    client.on("data", (chunk: Buffer) => {
      splitter.clientSent(chunk);
      target.write(chunk);
    });
    target.on("data", (chunk: Buffer) => {
      splitter.serverSent(chunk);
      client.write(chunk);
    });
  });
  const of = (connection?: number): readonly CountedCommand[] =>
    connection === undefined ? commands : commands.filter((command) => command.connection === connection);
  return {
    port,
    get connections() {
      return connections;
    },
    commands: () => commands,
    counts(connection) {
      const counts: Record<string, number> = {};
      for (const { verb } of of(connection)) counts[verb] = (counts[verb] ?? 0) + 1;
      return counts;
    },
    lines: (connection) => of(connection).map(({ line }) => line),
    reset() {
      commands = [];
    },
    close,
  };
}
