/** A server on a free port of loopback. */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

export interface TcpServer {
  readonly port: number;
  /** Ends what is connected, too. Idempotent. */
  close(): Promise<void>;
}

export async function serveTcp(serve: (client: Socket) => void): Promise<TcpServer> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (client) => {
    sockets.add(client);
    client.on("error", () => undefined).once("close", () => sockets.delete(client));
    serve(client);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    port: typeof address === "object" && address ? address.port : 0,
    async close() {
      for (const socket of sockets) socket.destroy();
      if (server.listening) await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** A connection to the server behind: it and the client's end together. */
export function connectBehind(client: Socket, port: number): Socket {
  const target = connect({ port, host: "127.0.0.1", noDelay: true });
  target.on("error", () => undefined).once("close", () => client.destroy());
  client.once("close", () => target.destroy());
  return target;
}
