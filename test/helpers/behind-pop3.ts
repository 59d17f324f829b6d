/** A Mailferry in front of an old server that has POP3 alone, until the test is over. */
import { onTestFinished } from "vitest";
import { type Mailferry, plainListeners, startMailferry } from "./mailferry.ts";

export async function startBehindPop3(port: number): Promise<Mailferry> {
  const mailferry = await startMailferry({
    legacy: { host: "127.0.0.1", passwordOf: (one) => `pass-${one}`, ports: { imap: 0 } },
    extra: { listen: plainListeners },
    legacyExtra: { imap: undefined, pop3: { host: "127.0.0.1", port, tls: "none" } },
  });
  onTestFinished(() => mailferry.close());
  return mailferry;
}
