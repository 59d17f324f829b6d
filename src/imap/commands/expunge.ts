/** EXPUNGE (RFC 3501 6.4.3) and UID EXPUNGE (RFC 4315 2.1). */
import { define, nothing } from "../command.ts";
import { highestCode } from "../condstore.ts";
import { ok } from "../formatter.ts";
import { type MessageSet, messageSet } from "../message-set.ts";
import { type Cursor, space } from "../tokens.ts";
import { namedMessages, refuseReadOnly } from "./messages.ts";

export const expunge = define({
  name: "EXPUNGE",
  state: "selected",
  parse: nothing,
  run: async ({ state, signal }) => {
    refuseReadOnly(state);
    await state.mailbox.expunge(undefined, signal);
    return ok("Expunge completed.", highestCode(state, state.view.hasExpunged));
  },
});

export const uidExpunge = define({
  name: "UID EXPUNGE",
  state: "selected",
  parse: (cursor: Cursor): MessageSet => {
    space(cursor);
    return messageSet(cursor);
  },
  run: async ({ state, args: set, signal }) => {
    refuseReadOnly(state);
    const uids = namedMessages(state, set, true);
    if (uids.length > 0) await state.mailbox.expunge(uids, signal);
    return ok("Expunge completed.", highestCode(state, state.view.hasExpunged));
  },
});
