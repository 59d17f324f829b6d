/** STORE and UID STORE (RFC 3501 6.4.6, 6.4.8). */
import type { FlagChange } from "../../mail/flag-change.ts";
import type { RawSequenceSet } from "../../mail/number-set.ts";
import { type Command, define } from "../command.ts";
import { ok } from "../formatter.ts";
import { type Cursor, flag, keyword, list, ParseError, peek, sequenceSet, skip, space } from "../tokens.ts";
import { namedMessages, refuseReadOnly } from "./messages.ts";

interface StoreArgs {
  readonly set: RawSequenceSet;
  readonly change: FlagChange;
  readonly silent: boolean;
}

export const store = defineStore("STORE", false);
export const uidStore = defineStore("UID STORE", true);

function defineStore(name: string, byUid: boolean): Command {
  return define({
    name,
    state: "selected",
    usesSequenceNumbers: !byUid,
    parse: storeArgs,
    run: async ({ state, args: { set, change, silent }, signal }) => {
      refuseReadOnly(state);
      const uids = namedMessages(state, set, byUid);
      // Whose flags are answered must be known here; before the change, so that a refusal is the truth.
      if (!silent) await state.mailbox.require(uids, "meta", signal);
      if (uids.length > 0) await state.mailbox.store(uids, change, signal);
      // All of them are answered, whether their flags have changed or not.
      if (silent) state.view.silence(uids);
      else state.view.apply({ kind: "flags", uids });
      return ok("Store completed.");
    },
  });
}

function storeArgs(cursor: Cursor): StoreArgs {
  space(cursor);
  const set = sequenceSet(cursor);
  space(cursor);
  const kind = skip(cursor, "+") ? "add" : skip(cursor, "-") ? "remove" : "replace";
  const item = keyword(cursor);
  if (item !== "FLAGS" && item !== "FLAGS.SILENT") throw new ParseError("Invalid STORE item");
  space(cursor);
  return { set, change: { kind, flags: flagsOfStore(cursor) }, silent: item === "FLAGS.SILENT" };
}

/** A list, or flags with spaces between. \\Recent is the server's (RFC 3501 2.3.2). */
function flagsOfStore(cursor: Cursor): readonly string[] {
  const flags: string[] = [];
  if (peek(cursor) === "(") flags.push(...list(cursor, flag));
  else
    do flags.push(flag(cursor));
    while (skip(cursor, " "));
  if (flags.some((name) => name.toLowerCase() === "\\recent"))
    throw new ParseError("\\Recent cannot be stored");
  return flags;
}
