/** STORE and UID STORE (RFC 3501 6.4.6, 6.4.8), conditional as RFC 7162 3.1.3 has it. */
import { unreadableIn } from "../../errors.ts";
import { type FlagChange, withChange } from "../../mail/flag-change.ts";
import { type Flags, sameFlags } from "../../mail/flags.ts";
import type { ModSeq, Uid } from "../../mail/ids.ts";
import { formatNumberSet, uidSetOf } from "../../mail/number-set.ts";
import type { Output } from "../../wire/output.ts";
import { type Command, define } from "../command.ts";
import { enableCondstore, formatModSeq, modSeqValue } from "../condstore.ts";
import { ok, untagged } from "../formatter.ts";
import { type MessageSet, messageSet } from "../message-set.ts";
import type { Selected } from "../state.ts";
import {
  type Cursor,
  expect,
  expectStorable,
  flag,
  keyword,
  list,
  ParseError,
  peek,
  skip,
  space,
} from "../tokens.ts";
import { namedMessages, refuseReadOnly } from "./messages.ts";

interface StoreArgs {
  readonly set: MessageSet;
  readonly change: FlagChange;
  readonly silent: boolean;
  readonly unchangedSince: ModSeq | undefined;
}

export const store = defineStore("STORE", false);
export const uidStore = defineStore("UID STORE", true);

function defineStore(name: string, byUid: boolean): Command {
  return define({
    name,
    state: "selected",
    usesSequenceNumbers: !byUid,
    parse: storeArgs,
    run: async ({ session, state, args, output, signal }) => {
      const { set, change, silent, unchangedSince } = args;
      refuseReadOnly(state);
      if (unchangedSince !== undefined) await enableCondstore(session, output, signal);
      const uids = namedMessages(state, set, byUid);
      const tellsModSeqs = silent && state.enabled.condstore;
      // What is told, here and in other sessions, is what has changed: from what, must be known. Before the change,
      // so that a refusal is the truth.
      await unreadableIn(state.mailbox.require(uids, "meta", signal));
      if (uids.length === 0) return ok("Store completed.");
      const expected = silent ? expectedFlags(state, uids, change) : undefined;
      const modified = new Set(await state.mailbox.store(uids, change, signal, unchangedSince));
      // All of them are answered, whether their flags have changed or not.
      const stored = modified.size > 0 ? uids.filter((uid) => !modified.has(uid)) : uids;
      if (expected) state.view.silence(stored.filter((uid) => isAsExpected(state, uid, expected)));
      else state.view.apply({ kind: "flags", uids: stored });
      if (tellsModSeqs) writeModSeqs(state, stored, output);
      return modified.size > 0
        ? ok("Conditional store failed.", `MODIFIED ${namesOf(state, modified, byUid)}`)
        : ok("Store completed.");
    },
  });
}

/**
 * What the client takes the flags to be after a silent change. Of others' changes it has to hear: where it has not
 * heard of one yet, it cannot know the outcome.
 */
function expectedFlags(
  { mailbox, view }: Selected,
  uids: readonly Uid[],
  change: FlagChange,
): ReadonlyMap<Uid, Flags> {
  const expected = new Map<Uid, Flags>();
  for (const uid of uids) {
    const meta = mailbox.meta(uid);
    if (!meta || (change.kind !== "replace" && view.isFlagged(uid))) continue;
    expected.set(uid, withChange(meta.flags, change));
  }
  return expected;
}

function isAsExpected({ mailbox }: Selected, uid: Uid, expected: ReadonlyMap<Uid, Flags>): boolean {
  const [now, wanted] = [mailbox.meta(uid)?.flags, expected.get(uid)];
  return now !== undefined && wanted !== undefined && sameFlags(now, wanted);
}

/** Also where the flags are not wanted (RFC 7162 3.1.3). */
function writeModSeqs(state: Selected, uids: readonly Uid[], output: Output): void {
  for (const uid of uids) {
    const modSeq = formatModSeq(state, uid);
    if (modSeq) output.write(untagged(`${state.view.sequenceOf(uid)} FETCH (UID ${uid} MODSEQ ${modSeq})`));
  }
}

function namesOf({ view }: Selected, uids: ReadonlySet<Uid>, byUid: boolean): string {
  const names = byUid ? [...uids] : [...uids].map((uid) => view.sequenceOf(uid) ?? 0);
  return formatNumberSet(uidSetOf(names as Uid[]));
}

function storeArgs(cursor: Cursor): StoreArgs {
  space(cursor);
  const set = messageSet(cursor);
  space(cursor);
  const unchangedSince = peek(cursor) === "(" ? storeModifier(cursor) : undefined;
  const kind = skip(cursor, "+") ? "add" : skip(cursor, "-") ? "remove" : "replace";
  const item = keyword(cursor);
  if (item !== "FLAGS" && item !== "FLAGS.SILENT") throw new ParseError("Invalid STORE item");
  space(cursor);
  return {
    set,
    change: { kind, flags: flagsOfStore(cursor) },
    silent: item === "FLAGS.SILENT",
    unchangedSince,
  };
}

function storeModifier(cursor: Cursor): ModSeq {
  expect(cursor, "(");
  if (keyword(cursor) !== "UNCHANGEDSINCE") throw new ParseError("Unknown STORE modifier");
  space(cursor);
  const since = modSeqValue(cursor);
  expect(cursor, ")");
  space(cursor);
  return since;
}

/** A list, or flags with spaces between. */
function flagsOfStore(cursor: Cursor): readonly string[] {
  const flags: string[] = [];
  if (peek(cursor) === "(") flags.push(...list(cursor, flag));
  else
    do flags.push(flag(cursor));
    while (skip(cursor, " "));
  expectStorable(flags);
  return flags;
}
