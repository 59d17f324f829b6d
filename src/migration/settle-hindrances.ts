/** Does what an operator says to what stands between an account and `complete`. */
import { MailError, unreachable } from "../errors.ts";
import type { EncodedMailboxName } from "../mail/ids.ts";
import type { AccountStore } from "../store/store.ts";
import { breathe } from "../waiting.ts";
import { acceptUidl } from "./accepted-uidls.ts";
import { acceptFewUids } from "./few-uids.ts";
import { type Choice, choicesOf, type Hindrance, type HindranceKind, idOf, wordsOf } from "./hindrance.ts";
import { hindrancesIn } from "./hindrances.ts";
import { acceptMailbox } from "./left-behind.ts";
import { lossesOf } from "./losses.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import type { Mirror } from "./mirror.ts";
import { noteWord } from "./operator-words.ts";
import { shownValidities } from "./shown-validities.ts";

export interface Decision {
  readonly choice: Choice;
  /** All that there are, where neither these nor a kind is named. */
  readonly ids?: readonly string[] | undefined;
  readonly kind?: HindranceKind | undefined;
  /** Who decides. */
  readonly by: string;
}

/** Throws CANNOT, and does nothing, where one is not there or has no such choice. Gives those that were meant. */
export async function settleHindrances(
  mirror: Mirror,
  decision: Decision,
  signal: AbortSignal,
): Promise<readonly Hindrance[]> {
  const meant = meantBy(decision, await hindrancesIn(mirror));
  const { choice } = decision;
  if (choice === "retry") {
    for (const hindrance of meant) await takeBack(mirror, hindrance, signal);
    await mirror.pull(signal);
    return meant;
  }
  for (const hindrance of meant) {
    // Of thousands at once: sessions are served in between.
    await breathe();
    signal.throwIfAborted();
    const at = new Date().toISOString();
    if (choice === "accept") await accept(mirror, hindrance, { by: decision.by, at }, signal);
    else await refuse(mirror, hindrance, signal);
    noteDecision(mirror.store, hindrance, { choice, by: decision.by, at });
  }
  return meant;
}

export function noteDecision(
  store: AccountStore,
  hindrance: Hindrance,
  said: { readonly choice: "accept" | "refuse"; readonly by: string; readonly at: string },
): void {
  const mailbox = "mailbox" in hindrance ? hindrance.mailbox : undefined;
  noteWord(store, {
    ...said,
    id: idOf(hindrance),
    kind: hindrance.kind,
    mailbox,
    words: wordsOf(hindrance),
  });
}

function meantBy({ choice, ids, kind }: Decision, all: readonly Hindrance[]): readonly Hindrance[] {
  const hasChoice = (one: Hindrance): boolean => choicesOf(one).includes(choice);
  if (kind === undefined && ids === undefined) return all.filter(hasChoice);
  const byId = new Map(all.map((one) => [idOf(one), one]));
  const named = (ids ?? []).map((id) => {
    const found = byId.get(id);
    if (!found) throw new MailError("CANNOT", `there is no problem ${id} (any more)`);
    return found;
  });
  const meant = [...new Set([...named, ...all.filter((one) => one.kind === kind)])];
  const odd = meant.find((one) => !hasChoice(one));
  if (odd) {
    throw new MailError(
      "CANNOT",
      `${idOf(odd)} (${odd.kind}) has no ${choice}; there is: ${choicesOf(odd).join(", ")}`,
    );
  }
  return meant;
}

async function accept(
  mirror: Mirror,
  hindrance: Hindrance,
  word: { readonly by: string; readonly at: string },
  signal: AbortSignal,
): Promise<void> {
  switch (hindrance.kind) {
    case "message": {
      const { store, record } = (await mailboxOf(mirror, hindrance, signal)).state;
      return lossesOf(store, record).accept(hindrance.uid, word);
    }
    case "deletions":
    case "missing":
      return mirror.held.accept(signal, [hindrance.mailbox]);
    case "others":
      return mirror.held.acceptOthers(hindrance.mailbox);
    case "mailbox":
      return (await mailboxOf(mirror, hindrance, signal)).state.forgetProblem();
    case "unkept": {
      const { record } = (await mailboxOf(mirror, hindrance, signal)).state;
      return shownValidities(mirror.store).setForNone(record.id, mirror.store.nextUidValidity());
    }
    case "numbers":
      return acceptFewUids(mirror.store, (await mailboxOf(mirror, hindrance, signal)).state.record);
    case "shut":
      return acceptMailbox((await mailboxOf(mirror, hindrance, signal)).state, word);
    case "maildrop":
      return acceptUidl(mirror.store, hindrance);
    case "listing":
      throw cannot(hindrance, "accepted");
    default:
      return unreachable(hindrance);
  }
}

async function refuse(mirror: Mirror, hindrance: Hindrance, signal: AbortSignal): Promise<void> {
  switch (hindrance.kind) {
    case "deletions":
    case "missing":
      await mirror.held.refuse(signal, [hindrance.mailbox]);
      return;
    case "others":
      return mirror.held.refuseOthers(hindrance.mailbox, signal);
    case "message":
    case "mailbox":
    case "shut":
    case "listing":
    case "unkept":
    case "numbers":
    case "maildrop":
      throw cannot(hindrance, "refused");
    default:
      return unreachable(hindrance);
  }
}

/** What a pull does not ask for again by itself. */
async function takeBack(mirror: Mirror, hindrance: Hindrance, signal: AbortSignal): Promise<void> {
  if (hindrance.kind !== "message") return;
  const { store, record } = (await mailboxOf(mirror, hindrance, signal)).state;
  lossesOf(store, record).takeBack(hindrance.uid);
}

function cannot(hindrance: Hindrance, done: string): MailError {
  return new MailError("CANNOT", `${idOf(hindrance)} (${hindrance.kind}) cannot be ${done}`);
}

function mailboxOf(
  mirror: Mirror,
  { mailbox }: { readonly mailbox: EncodedMailboxName },
  signal: AbortSignal,
): Promise<MailboxMirror> {
  return mirror.mailbox(mailbox, signal);
}
