import type { Duplex } from "node:stream";
import { type SecureContext, TLSSocket } from "node:tls";
import { disconnected } from "./output.ts";

/**
 * The server's side of a TLS handshake on a connected socket, implicit or after STARTTLS. Bytes that the
 * socket has buffered are taken for TLS. Rejects when the handshake fails or takes over `timeoutMs`.
 */
export function upgradeToTls(
  socket: Duplex,
  secureContext: SecureContext,
  timeoutMs: number,
): Promise<TLSSocket> {
  const secured = new TLSSocket(socket, { isServer: true, secureContext });
  // Without tls.Server around it, a TLSSocket reports TLS errors as this event only, and stays open.
  secured.on("_tlsError", (error: Error) => secured.destroy(error));
  return new Promise((resolve, reject) => {
    const fail = (cause?: unknown): void => {
      clearTimeout(timer);
      secured.destroy();
      socket.destroy();
      reject(disconnected(cause));
    };
    const timer = setTimeout(fail, timeoutMs);
    secured.once("error", fail);
    secured.once("close", fail);
    socket.once("close", fail);
    secured.once("secure", () => {
      clearTimeout(timer);
      secured.off("error", fail);
      secured.off("close", fail);
      socket.off("close", fail);
      resolve(secured);
    });
  });
}
