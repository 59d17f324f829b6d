/**
 * FETCH and UID FETCH (RFC 3501 6.4.5, 6.4.8). Messages are made present in batches, with the least that
 * the items need, and answered one by one in order. One that was expunged meanwhile is left out, and
 * the client told to ask for news (RFC 2180 4.1, RFC 5530 EXPUNGEISSUED); bytes that cannot be had end the session
 * (see session.ts). One that the old server cannot give ends it only when all others have been answered.
 */
import type { Need, OpenMailbox } from "../../account/account.ts";
import {
  isUnavailable,
  MailError,
  Unreadable,
  unlessUnreadable,
  unreachable,
  unreadableIn,
} from "../../errors.ts";
import { hasFlag, noFlags } from "../../mail/flags.ts";
import type { Uid } from "../../mail/ids.ts";
import { type Call, type Command, define } from "../command.ts";
import { enableCondstore, modSeqOf } from "../condstore.ts";
import { answerMessage, type FetchContext, needsContent } from "../fetch-answer.ts";
import { type FetchItem, fetchItems } from "../fetch-items.ts";
import { type FetchModifiers, fetchModifiers, noModifiers } from "../fetch-modifiers.ts";
import { type PlainKind, plainAnswers, plainKinds } from "../fetch-plain.ts";
import { ok, type Reply } from "../formatter.ts";
import { type MessageSet, messageSet, messagesNamed, uidsReached } from "../message-set.ts";
import { nameKeywords } from "../notices.ts";
import { vanishedSince, writeVanished } from "../resync.ts";
import type { Selected } from "../state.ts";
import { ParseError, skip, space } from "../tokens.ts";
import { someExpunged } from "./messages.ts";

export const fetch = defineFetch("FETCH", false);
export const uidFetch = defineFetch("UID FETCH", true);

interface FetchArgs extends FetchModifiers {
  readonly set: MessageSet;
  readonly items: readonly FetchItem[];
}

function defineFetch(name: string, byUid: boolean): Command {
  return define({
    name,
    state: "selected",
    usesSequenceNumbers: !byUid,
    endsSessionWhenUnavailable: true,
    parse: (cursor): FetchArgs => {
      space(cursor);
      const set = messageSet(cursor);
      space(cursor);
      const items = fetchItems(cursor);
      const modifiers = skip(cursor, " ") ? fetchModifiers(cursor) : noModifiers;
      if (modifiers.vanished && !byUid) throw new ParseError("VANISHED is for UID FETCH");
      return { set, items: withImplied(items, byUid, modifiers), ...modifiers };
    },
    run: (call) => runFetch(call, byUid),
  });
}

/** UID FETCH answers the UID (RFC 3501 6.4.8), and CHANGEDSINCE the MODSEQ (RFC 7162 3.1.4), asked for or not. */
function withImplied(
  items: readonly FetchItem[],
  byUid: boolean,
  { changedSince }: FetchModifiers,
): readonly FetchItem[] {
  const lacks = (wanted: FetchItem["kind"]): boolean => !items.some(({ kind }) => kind === wanted);
  return [
    ...(byUid && lacks("uid") ? [{ kind: "uid" } as const] : []),
    ...items,
    ...(changedSince !== undefined && lacks("modseq") ? [{ kind: "modseq" } as const] : []),
  ];
}

/** Messages made present at once: many where little of each is needed. */
const batchSizes = { content: 200, header: 500, meta: 2000 } as const;

async function runFetch(call: Call<Selected, FetchArgs>, byUid: boolean): Promise<Reply> {
  const { session, state, args, output, signal } = call;
  const named = messagesNamed(state, args.set, byUid);
  if (args.vanished && !state.enabled.qresync) throw new ParseError("QRESYNC not enabled");
  if (args.items.some(({ kind }) => kind === "modseq")) await enableCondstore(session, output, signal);
  const uids = await changedOnes(call, named);
  const needs = needsOf(args.items);
  const batchSize = batchSizeOf(args.items, needs);
  let unreadable: Unreadable | undefined;
  for (let first = 0; first < uids.length; first += batchSize) {
    const batch = uids.slice(first, first + batchSize);
    unreadable =
      (await answerBatch({ state, items: args.items, output, signal }, batch, needs)) ?? unreadable;
  }
  if (unreadable) throw unreadable;
  return someExpunged(state, uids)
    ? ok("Some messages were already expunged.", "EXPUNGEISSUED")
    : ok("Fetch completed.");
}

/** With CHANGEDSINCE those that have changed; what was expunged since is told first. */
async function changedOnes(
  { state, args, output, signal }: Call<Selected, FetchArgs>,
  uids: readonly Uid[],
): Promise<readonly Uid[]> {
  const { changedSince, vanished } = args;
  if (changedSince === undefined) return uids;
  await state.mailbox.requireChanged(changedSince, signal);
  if (vanished) {
    // An expunged message may have been the last one.
    const within = uidsReached(state, args.set, state.mailbox.uidNext - 1);
    writeVanished(await vanishedSince(state, { modSeq: changedSince, pairs: [], within }, signal), output);
  }
  return uids.filter((uid) => modSeqOf(state, uid) > changedSince);
}

/** Gives the reason where some cannot be answered, and all others are. */
async function answerBatch(
  context: FetchContext,
  uids: readonly Uid[],
  needs: readonly Need[],
): Promise<Unreadable | undefined> {
  const { state, items, output, signal } = context;
  const present = uids.filter((uid) => !state.view.isExpunged(uid));
  if (items.some(needsContent)) state.mailbox.prefetch(present);
  if (items.some(setsSeen)) await markSeen(state, present, signal);
  const unavailable = await requireAll(state.mailbox, present, needs, signal);
  if (items.some(({ kind }) => kind === "flags")) nameKeywords(state, present, output);
  const plain = plainKinds(items);
  if (plain) return answerPlain(context, plain, present, unavailable);
  let unreadable: Unreadable | undefined;
  for (const uid of present) {
    const sequence = state.view.sequenceOf(uid);
    if (sequence === undefined || state.view.isExpunged(uid)) continue;
    const answered = await unlessUnreadable(answerMessage(context, sequence, uid));
    if (answered === true || state.view.isExpunged(uid)) continue;
    if (answered instanceof Unreadable) unreadable = answered;
    else if (unavailable instanceof Unreadable) unreadable ??= unavailable;
    // Those that are here have been answered; the first that is not, and is not gone either, ends it.
    else if (unavailable) throw unavailable;
  }
  await output.flushed();
  return unreadable;
}

/** Many messages in one turn of the event loop, but no more than a few milliseconds of it. */
const answeredAtOnce = 500;

async function answerPlain(
  { state, output }: FetchContext,
  kinds: readonly PlainKind[],
  uids: readonly Uid[],
  unavailable: MailError | undefined,
): Promise<Unreadable | undefined> {
  const unreadable = unavailable instanceof Unreadable ? unavailable : undefined;
  let isLeftOut = false;
  for (let first = 0; first < uids.length; first += answeredAtOnce) {
    const part = uids.slice(first, first + answeredAtOnce);
    const leavesOut = unavailable === undefined || unreadable !== undefined;
    const { bytes, missing } = plainAnswers(state, kinds, part, leavesOut);
    output.write(bytes);
    await output.flushed();
    if (missing === undefined) continue;
    if (unavailable && !unreadable) throw unavailable;
    isLeftOut = true;
  }
  return isLeftOut ? unreadable : undefined;
}

/** BODY[…], RFC822 and RFC822.TEXT (RFC 3501 6.4.5). */
function setsSeen(item: FetchItem): boolean {
  return item.kind === "section" && !item.peek;
}

/** What cannot be marked now can be read all the same. */
async function markSeen(
  { mailbox, readOnly }: Selected,
  uids: readonly Uid[],
  signal: AbortSignal,
): Promise<void> {
  if (readOnly) return;
  try {
    await unreadableIn(mailbox.require(uids, "meta", signal));
    const unseen = uids.filter((uid) => !hasFlag(mailbox.meta(uid)?.flags ?? noFlags, "\\Seen"));
    if (unseen.length > 0) await mailbox.store(unseen, { kind: "add", flags: ["\\Seen"] }, signal);
  } catch (error) {
    if (!(error instanceof MailError)) throw error;
  }
}

/** Gives the reason where not everything could be had. */
async function requireAll(
  mailbox: OpenMailbox,
  uids: readonly Uid[],
  needs: readonly Need[],
  signal: AbortSignal,
): Promise<MailError | undefined> {
  let unreadable: Unreadable | undefined;
  try {
    for (const need of needs)
      unreadable = (await unreadableIn(mailbox.require(uids, need, signal))) ?? unreadable;
    return unreadable;
  } catch (error) {
    if (isUnavailable(error)) return error;
    throw error;
  }
}

function needsOf(items: readonly FetchItem[]): readonly Need[] {
  // Flags alone can be had long before anything else; whatever else is asked for brings them along.
  if (items.every(({ kind }) => kind === "uid" || kind === "flags"))
    return items.some(({ kind }) => kind === "flags") ? ["flags"] : [];
  return [...new Set(items.map(needOf))].filter((need) => need !== undefined);
}

function needOf(item: FetchItem): Need | undefined {
  switch (item.kind) {
    case "uid":
      return undefined;
    case "flags":
    case "internal-date":
    case "size":
    case "modseq":
      return "meta";
    case "envelope":
      return "header";
    case "body":
    case "body-structure":
      return "structure";
    case "section":
      // The bytes themselves are asked for one message at a time, by `content`.
      return needsContent(item) ? undefined : "header";
    default:
      return unreachable(item);
  }
}

function batchSizeOf(items: readonly FetchItem[], needs: readonly Need[]): number {
  if (items.some(needsContent)) return batchSizes.content;
  return needs.includes("header") || needs.includes("structure") ? batchSizes.header : batchSizes.meta;
}
