/** What a login takes of a connection, whatever the protocol. */
import { setTimeout as delay } from "node:timers/promises";
import { isLoopback } from "./loopback.ts";
import { disconnected, type Output } from "./output.ts";

/** A password goes over TLS, stays within this machine, or the operator has allowed it in the clear. */
export function mayLogIn({
  peer,
  options,
}: {
  readonly peer: { readonly secure: boolean; readonly address: string };
  readonly options: { readonly allowPlaintextLogin: boolean };
}): boolean {
  return peer.secure || options.allowPlaintextLogin || isLoopback(peer.address);
}

/** Sends a challenge of SASL, and waits for the line that answers it. */
export async function askClient(
  { output, readLine }: { readonly output: Output; readonly readLine: () => Promise<string | undefined> },
  challenge: string,
): Promise<string> {
  output.write(`+ ${challenge}\r\n`);
  output.send();
  const line = await readLine();
  if (line === undefined) throw disconnected();
  return line;
}

/** Before a wrong login is answered, so that guessing is slow; nobody else waits. */
export async function holdBack(delayMs: number, signal: AbortSignal): Promise<void> {
  await delay(delayMs, undefined, { signal }).catch((cause: unknown) => {
    throw disconnected(cause);
  });
}

/** Somebody may be called so. */
export function isUserName(text: string): boolean {
  return text !== "" && !/[\x00-\x1f\x7f]/.test(text);
}
