/** COPY (RFC 3501 6.4.7), MOVE (RFC 6851) and their UID forms; COPYUID as RFC 4315 3 has it. */
import type { CopiedUids } from "../../mail/copied-uids.ts";
import { type EncodedMailboxName, encodedMailboxName } from "../../mail/ids.ts";
import { formatNumberSet, rangesInOrder } from "../../mail/number-set.ts";
import { type Call, type Command, define } from "../command.ts";
import { highestCode } from "../condstore.ts";
import { ok, type Reply, untagged } from "../formatter.ts";
import { type MessageSet, messageSet } from "../message-set.ts";
import type { Selected } from "../state.ts";
import { astring, type Cursor, space } from "../tokens.ts";
import { allNamedMessages, refuseReadOnly } from "./messages.ts";

interface TransferArgs {
  readonly set: MessageSet;
  readonly target: EncodedMailboxName;
}
type TransferCall = Call<Selected, TransferArgs>;

export const copy = defineTransfer("COPY", (call) => copyMessages(call, false));
export const uidCopy = defineTransfer("UID COPY", (call) => copyMessages(call, true));
export const move = defineTransfer("MOVE", (call) => moveMessages(call, false));
export const uidMove = defineTransfer("UID MOVE", (call) => moveMessages(call, true));

function defineTransfer(name: string, run: (call: TransferCall) => Promise<Reply>): Command {
  return define({ name, state: "selected", parse: transferArgs, run });
}

function transferArgs(cursor: Cursor): TransferArgs {
  space(cursor);
  const set = messageSet(cursor);
  space(cursor);
  return { set, target: encodedMailboxName(astring(cursor)) };
}

async function copyMessages({ state, args, signal }: TransferCall, byUid: boolean): Promise<Reply> {
  const uids = allNamedMessages(state, args.set, byUid);
  if (uids.length === 0) return ok("No messages to copy.");
  return ok("Copy completed.", codeOf(await state.mailbox.copy(uids, args.target, signal)));
}

/** COPYUID comes ahead of the EXPUNGEs, which name the messages no more (RFC 6851 4.3). */
async function moveMessages({ state, args, output, signal }: TransferCall, byUid: boolean): Promise<Reply> {
  refuseReadOnly(state);
  const uids = allNamedMessages(state, args.set, byUid);
  if (uids.length === 0) return ok("No messages to move.");
  const code = codeOf(await state.mailbox.move(uids, args.target, signal));
  if (code) output.write(untagged(`OK [${code}] Moved.`));
  return ok("Move completed.", highestCode(state, state.view.hasExpunged));
}

function codeOf(copied: CopiedUids | undefined): string | undefined {
  if (!copied) return undefined;
  const { uidValidity, from, to } = copied;
  // In the order of the lists: the nth of one belongs to the nth of the other.
  return `COPYUID ${uidValidity} ${formatNumberSet(rangesInOrder(from))} ${formatNumberSet(rangesInOrder(to))}`;
}
