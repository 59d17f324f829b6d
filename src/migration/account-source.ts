/**
 * What an account is fed by. It is decided at the first opening: an account of IMAP has its flags and mailboxes at the
 * old server, one of POP3 alone has them here only. Opened as the other, it would lose mail.
 */
import { MailError } from "../errors.ts";
import type { AccountStore } from "../store/store.ts";

export type AccountSource = "imap" | "pop3";

const sourceKey = "fed-by";
const wordsOf = { imap: "imap", pop3: "pop3 and no imap" } as const;

export class OtherSource extends MailError {
  /** For the operator. */
  readonly problem: string;

  constructor(kept: AccountSource) {
    const problem = `the account was begun with ${wordsOf[kept]}: its legacy server's entry in the configuration has to stay so`;
    super("UNAVAILABLE", "This account cannot be opened now", new Error(problem));
    this.problem = problem;
  }
}

/** Throws OtherSource where the account was begun with the other one. */
export function keepSource(store: AccountStore, source: AccountSource): void {
  const kept = fedBy(store);
  if (kept === undefined) store.writeSetting(sourceKey, source);
  else if (kept !== source) throw new OtherSource(kept);
}

/** undefined for an account that was made here. */
export function fedBy(store: AccountStore): AccountSource | undefined {
  return store.readSetting(sourceKey) as AccountSource | undefined;
}
