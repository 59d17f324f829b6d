/**
 * What stands between an account and `complete`: the kinds there are, what an operator can say to each, and the words
 * for it. hindrances.ts collects them, settle-hindrances.ts acts on what the operator says; a kind is added here, in
 * these two, and nowhere else.
 */
import { createHash } from "node:crypto";
import { unreachable } from "../errors.ts";
import type { EncodedMailboxName, Uid } from "../mail/ids.ts";

interface InMailbox {
  readonly mailbox: EncodedMailboxName;
  /** Which one it is, whatever its name: id and UIDVALIDITY. */
  readonly place: string;
}

export type Hindrance =
  /** A message that the old server does not give. */
  | (InMailbox & {
      readonly kind: "message";
      readonly uid: Uid;
      readonly reason: string;
      readonly tries: number;
    })
  /** Messages that are suddenly gone at the old server. */
  | (InMailbox & { readonly kind: "deletions"; readonly uids: readonly Uid[] })
  /** A mailbox that is not migrated further. */
  | (InMailbox & { readonly kind: "mailbox"; readonly reason: string })
  /** A mailbox in which the old server gave other messages under the same UIDVALIDITY: what it has no more is set aside. */
  | (InMailbox & { readonly kind: "others"; readonly reason: string })
  /** A mailbox that LIST leaves out. */
  | (InMailbox & { readonly kind: "missing"; readonly reason: string })
  /** The old server does not list all messages of a mailbox. */
  | (InMailbox & { readonly kind: "listing"; readonly reason: string })
  /** A mailbox that the old server gives no lasting identity. */
  | (InMailbox & { readonly kind: "unkept" })
  /** A message of the POP3 maildrop that could not be found among those of IMAP. */
  | { readonly kind: "maildrop"; readonly uidl: string; readonly reason: string };

export type HindranceKind = Hindrance["kind"];
export type Choice = "retry" | "accept" | "refuse";

const choices: Readonly<Record<HindranceKind, readonly Choice[]>> = {
  message: ["retry", "accept"],
  deletions: ["accept", "refuse"],
  mailbox: ["accept"],
  others: ["accept", "refuse"],
  missing: ["accept", "refuse"],
  listing: ["retry"],
  unkept: ["retry"],
  maildrop: ["retry"],
};

export const hindranceKinds = Object.keys(choices) as readonly HindranceKind[];

export function choicesOf({ kind }: Hindrance): readonly Choice[] {
  return choices[kind];
}

/** For people. */
export function wordsOf(hindrance: Hindrance): string {
  switch (hindrance.kind) {
    case "message":
      return `UID ${hindrance.uid}: ${hindrance.reason}`;
    case "deletions":
      return `the old server has suddenly lost ${hindrance.uids.length} messages; they are kept here until you decide (deletions --help)`;
    case "mailbox":
    case "others":
    case "missing":
    case "listing":
      return hindrance.reason;
    case "unkept":
      return "the old server does not tell a UIDVALIDITY above 0: its messages are shown to clients, and not migrated";
    case "maildrop":
      return `POP3 message with the UIDL ${hindrance.uidl}: ${hindrance.reason}`;
    default:
      return unreachable(hindrance);
  }
}

/** The same at every look, and after a restart; another one as soon as something else stands in the way. */
export function idOf(hindrance: Hindrance): string {
  const text = JSON.stringify([hindrance.kind, ...identityOf(hindrance)]);
  return createHash("sha256").update(text).digest("hex").slice(0, 10);
}

function identityOf(hindrance: Hindrance): readonly unknown[] {
  switch (hindrance.kind) {
    case "message":
      return [hindrance.place, hindrance.uid];
    case "deletions":
      return [hindrance.place, hindrance.uids];
    case "mailbox":
    case "others":
      return [hindrance.place, hindrance.reason];
    case "missing":
    case "listing":
      return [hindrance.place];
    case "unkept":
      return [hindrance.mailbox];
    case "maildrop":
      return [hindrance.uidl];
    default:
      return unreachable(hindrance);
  }
}
