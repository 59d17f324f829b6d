/** CREATE, DELETE, RENAME, SUBSCRIBE and UNSUBSCRIBE (RFC 3501 6.3.3 to 6.3.7). */
import { encodedMailboxName } from "../../mail/ids.ts";
import type { NameChange } from "../../mail/name-change.ts";
import { type Call, type Command, define } from "../command.ts";
import { ok, type Reply, untagged } from "../formatter.ts";
import { type Authenticated, deselect, type Selected } from "../state.ts";
import { astring, type Cursor, space } from "../tokens.ts";

export const create = defineChange("CREATE", "Create completed.", one("CREATE"));
export const deleteMailbox = defineChange("DELETE", "Delete completed.", one("DELETE"));
export const rename = defineChange("RENAME", "Rename completed.", (cursor) => ({
  kind: "RENAME",
  name: mailboxName(cursor),
  to: mailboxName(cursor),
}));
export const subscribe = defineChange("SUBSCRIBE", "Subscribe completed.", one("SUBSCRIBE"));
export const unsubscribe = defineChange("UNSUBSCRIBE", "Unsubscribe completed.", one("UNSUBSCRIBE"));

type Parse = (cursor: Cursor) => NameChange;

function one(kind: Exclude<NameChange["kind"], "RENAME">): Parse {
  return (cursor) => ({ kind, name: mailboxName(cursor) });
}

function mailboxName(cursor: Cursor) {
  space(cursor);
  return encodedMailboxName(astring(cursor));
}

function defineChange(name: NameChange["kind"], text: string, parse: Parse): Command {
  return define({ name, state: "authenticated", parse, run: (call) => change(call, text) });
}

type ChangeCall = Call<Authenticated | Selected, NameChange>;

async function change({ session, state, args, output, signal }: ChangeCall, text: string): Promise<Reply> {
  await state.account.changeName(args, signal);
  // Who deletes the mailbox that he has open has closed it; only others are told that it is gone.
  if (args.kind === "DELETE" && state.kind === "selected" && state.mailbox.name === args.name) {
    output.write(untagged("OK [CLOSED] Mailbox closed."));
    session.state = deselect(state);
  }
  return ok(text);
}
