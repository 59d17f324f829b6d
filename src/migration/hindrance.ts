/**
 * What stands between an account and `complete`: the kinds there are, what an operator can say to each, and the words
 * for it. hindrances.ts collects them, settle-hindrances.ts acts on what the operator says; a kind is added here, in
 * these two, and nowhere else.
 */
import { createHash } from "node:crypto";
import { unreachable } from "../errors.ts";
import type { EncodedMailboxName, Uid, Uidl } from "../mail/ids.ts";
import { nameByUidl } from "../mail/made-uidl.ts";

interface InMailbox {
  readonly mailbox: EncodedMailboxName;
  /** Which one it is, whatever its name: id and UIDVALIDITY. */
  readonly place: string;
}

interface AcceptedBefore {
  /** When less than is there now was accepted (ISO 8601). */
  readonly acceptedAt: string | undefined;
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
  /** A mailbox that the old server lists and does not open. */
  | (InMailbox &
      AcceptedBefore & {
        readonly kind: "shut";
        readonly reason: string;
        readonly tries: number;
        /** As the old server tells, if it does. */
        readonly messages: number | undefined;
        /** Nothing was ever in it, as it tells. */
        readonly isUnused: boolean;
      })
  /** A mailbox that is not migrated further. */
  | (InMailbox & { readonly kind: "mailbox"; readonly reason: string })
  /** A mailbox in which the old server gave other messages under the same UIDVALIDITY: what it has no more is set aside. */
  | (InMailbox & { readonly kind: "others"; readonly reason: string })
  /** A mailbox that LIST leaves out. */
  | (InMailbox & {
      readonly kind: "missing";
      readonly reason: string;
      /** Most of the account would go with it. */
      readonly isHeld: boolean;
    })
  /** The old server does not list all messages of a mailbox. */
  | (InMailbox & { readonly kind: "listing"; readonly reason: string })
  /** A mailbox that the old server gives no lasting identity. */
  | (InMailbox & { readonly kind: "unkept" })
  /** A mailbox whose UIDs are nearly used up. */
  | (InMailbox & { readonly kind: "numbers"; readonly left: number })
  /** A message of the POP3 maildrop that could not be found among those of IMAP, or did not come whole. */
  | {
      readonly kind: "maildrop";
      readonly uidl: Uidl;
      /** As LIST tells: some servers give a UIDL to another message later. */
      readonly sizeBytes: number;
      readonly reason: string;
    };

export type HindranceKind = Hindrance["kind"];
export type Choice = "retry" | "accept" | "refuse";

const choices: Readonly<Record<HindranceKind, readonly Choice[]>> = {
  message: ["retry", "accept"],
  deletions: ["accept", "refuse"],
  shut: ["retry", "accept"],
  mailbox: ["accept"],
  others: ["accept", "refuse"],
  missing: ["accept", "refuse"],
  listing: ["retry"],
  unkept: ["retry", "accept"],
  numbers: ["accept"],
  maildrop: ["retry", "accept"],
};

export const hindranceKinds = Object.keys(choices) as readonly HindranceKind[];

export function choicesOf(hindrance: Hindrance): readonly Choice[] {
  const all = choices[hindrance.kind];
  // There is nothing to be put into the mailbox Rescued.
  const isGoing = hindrance.kind === "missing" && !hindrance.isHeld;
  return isGoing ? all.filter((choice) => choice !== "refuse") : all;
}

/** For people. */
export function wordsOf(hindrance: Hindrance): string {
  switch (hindrance.kind) {
    case "message":
      return `UID ${hindrance.uid}: ${hindrance.reason}`;
    case "deletions":
      return `the old server has suddenly lost ${hindrance.uids.length} messages; they are kept here until you decide (deletions --help)`;
    case "shut":
      return `the old server does not open it: ${hindrance.reason}; ${messagesIn(hindrance)}`;
    case "mailbox":
    case "others":
    case "missing":
    case "listing":
      return hindrance.reason;
    case "unkept":
      return "the old server does not tell a UIDVALIDITY above 0: its messages are shown to clients, and not migrated, unless you accept its UIDs as lasting";
    case "numbers":
      return `${hindrance.left} message numbers (UIDs) are left below 2^32: after the cutover new mail is refused when they are used up`;
    case "maildrop":
      return `${nameByUidl(hindrance.uidl)}: ${hindrance.reason}`;
    default:
      return unreachable(hindrance);
  }
}

function messagesIn({ messages, isUnused }: Hindrance & { readonly kind: "shut" }): string {
  if (messages === undefined) return "nor does it tell how many messages are in it";
  return isUnused
    ? "it says that nothing was ever in it, and a cutover does without it"
    : `it says that ${messages} messages are in it`;
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
    case "numbers":
      return [hindrance.place];
    case "shut":
      return [hindrance.mailbox, hindrance.acceptedAt];
    case "unkept":
      return [hindrance.mailbox];
    case "maildrop":
      return [hindrance.uidl, hindrance.sizeBytes];
    default:
      return unreachable(hindrance);
  }
}
