/** A Mailferry in front of a scripted old server, both until the test is over. */
import { onTestFinished } from "vitest";
import { type Mailferry, type MailferryOptions, startMailferry } from "./mailferry.ts";
import { type Manners, type OddImap, type OddMailbox, oddPassword, startOddImap } from "./odd-imap.ts";

export async function startBehindOdd(
  mailboxes: Readonly<Record<string, OddMailbox>>,
  manners: Partial<Manners> = {},
  options: Omit<MailferryOptions, "legacy"> = {},
): Promise<{ readonly odd: OddImap; readonly mailferry: Mailferry }> {
  const odd = await startOddImap(mailboxes, manners);
  onTestFinished(() => odd.close());
  const legacy = { host: "127.0.0.1", ports: { imap: odd.port }, passwordOf: () => oddPassword };
  const mailferry = await startMailferry({ legacy, ...options });
  onTestFinished(() => mailferry.close());
  return { odd, mailferry };
}
