/** One port that leads to another server when it is told to, as a name in DNS does. */
import { once } from "node:events";
import { connect, createServer } from "node:net";

export interface Forwarder {
  readonly port: number;
  /** Where new connections go. */
  target: number;
  close(): Promise<void>;
}

export async function startForwarder(target: number): Promise<Forwarder> {
  const server = createServer({ noDelay: true }, (client) => {
    const there = connect({ port: forwarder.target, host: "127.0.0.1", noDelay: true });
    client.pipe(there).pipe(client);
    client.on("error", () => there.destroy());
    there.on("error", () => client.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const forwarder = {
    port: typeof address === "object" && address ? address.port : 0,
    target,
    close: async () => void server.close(),
  };
  return forwarder;
}
