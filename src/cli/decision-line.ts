/** What an operator has decided, in one line for people. */
import type { EncodedMailboxName } from "../mail/ids.ts";
import { decodeMailboxName } from "../mail/mailbox-name.ts";
import type { OperatorWord } from "../migration/operator-words.ts";

export function decisionLine({ choice, kind, mailbox, words, by, at }: OperatorWord): string {
  const where = mailbox === undefined ? "" : `${decodeMailboxName(mailbox as EncodedMailboxName)}: `;
  return `${choice === "accept" ? "accepted" : "refused"} by ${by}, ${at}: ${kind} ${where}${words}`;
}
