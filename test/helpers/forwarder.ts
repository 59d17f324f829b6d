/** One port that leads to another server when it is told to, as a name in DNS does. */
import { connect } from "node:net";
import { serveTcp, type TcpServer } from "./tcp-server.ts";

export interface Forwarder extends TcpServer {
  /** Where new connections go. */
  target: number;
}

export async function startForwarder(target: number): Promise<Forwarder> {
  const server = await serveTcp((client) => {
    const there = connect({ port: forwarder.target, host: "127.0.0.1", noDelay: true });
    client.pipe(there).pipe(client);
    client.once("close", () => there.destroy());
    there.on("error", () => client.destroy());
  });
  const forwarder = { ...server, target };
  return forwarder;
}
