/** Stands between Mailferry and a legacy server, and changes what the server says. */
import { connectBehind, serveTcp } from "./tcp-server.ts";

/** Each answer line of the server, latin1 with its CRLF; undefined drops it. Text of messages is left alone. */
export type Lie = (line: string, connection: number) => string | undefined;

export interface LyingProxy {
  readonly port: number;
  /** undefined: the truth. */
  lie: Lie | undefined;
  close(): Promise<void>;
}

export async function startLyingProxy(targetPort: number): Promise<LyingProxy> {
  let connections = 0;
  const { port, close } = await serveTcp((client) => {
    const number = ++connections;
    const target = connectBehind(client, targetPort);
    client.on("data", (chunk) => void target.write(chunk));
    let rest = "";
    let literalBytes = 0;
    target.on("data", (chunk: Buffer) => {
      rest += chunk.toString("latin1");
      let out = "";
      for (;;) {
        if (literalBytes > 0) {
          const taken = rest.slice(0, literalBytes);
          out += taken;
          literalBytes -= taken.length;
          rest = rest.slice(taken.length);
          if (literalBytes > 0) break;
        }
        const end = rest.indexOf("\r\n");
        if (end < 0) break;
        const line = rest.slice(0, end + 2);
        rest = rest.slice(end + 2);
        literalBytes = Number(/\{(\d+)\}\r\n$/.exec(line)?.[1] ?? 0);
        out += (proxy.lie ? proxy.lie(line, number) : line) ?? "";
      }
      client.write(Buffer.from(out, "latin1"));
    });
  });
  const proxy: LyingProxy = { port, lie: undefined, close };
  return proxy;
}
