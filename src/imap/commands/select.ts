/** SELECT, EXAMINE, CHECK, CLOSE (RFC 3501 6.3.1, 6.3.2, 6.4.1, 6.4.2) and UNSELECT (RFC 3691). */
import type { MailboxChange } from "../../account/account.ts";
import { hasFlag } from "../../mail/flags.ts";
import { type EncodedMailboxName, encodedMailboxName, type Uid } from "../../mail/ids.ts";
import type { Output } from "../../wire/output.ts";
import { type Call, type Command, define, nothing } from "../command.ts";
import { describeHighest } from "../condstore.ts";
import { ok, type Reply, untagged } from "../formatter.ts";
import { countRecent, describeFlags } from "../notices.ts";
import { createPartTrees } from "../part-trees.ts";
import { type Missed, missedSince, writeMissed } from "../resync.ts";
import { noParameters, type SelectParameters, selectParameters } from "../select-parameters.ts";
import { type Authenticated, deselect, type Selected } from "../state.ts";
import { astring, ParseError, skip, space } from "../tokens.ts";
import { createView, type View } from "../view.ts";

export const select = defineSelect("SELECT", false);
export const examine = defineSelect("EXAMINE", true);

export const check = define({
  name: "CHECK",
  state: "selected",
  parse: nothing,
  run: async ({ state, signal }) => {
    await state.mailbox.poll(signal);
    return ok("Check completed.");
  },
});

/** Expunges without a word what is known to be marked \Deleted. */
export const close = defineLeave("CLOSE", "Close completed.", async ({ mailbox, view, readOnly }, signal) => {
  const mayBeDeleted = (uid: Uid): boolean => {
    const meta = mailbox.meta(uid);
    return meta === undefined || hasFlag(meta.flags, "\\Deleted");
  };
  if (!readOnly && view.uids.some(mayBeDeleted)) await mailbox.expunge(undefined, signal);
});
export const unselect = defineLeave("UNSELECT", "Unselect completed.");

function defineLeave(
  name: string,
  text: string,
  before?: (state: Selected, signal: AbortSignal) => Promise<void>,
): Command {
  return define({
    name,
    state: "selected",
    parse: nothing,
    run: async ({ session, state, signal }) => {
      await before?.(state, signal);
      session.state = deselect(state);
      return ok(text);
    },
  });
}

interface SelectArgs extends SelectParameters {
  readonly name: EncodedMailboxName;
}
type SelectCall = Call<Authenticated | Selected, SelectArgs>;

function defineSelect(name: string, isExamine: boolean): Command {
  return define({
    name,
    state: "authenticated",
    parse: (cursor): SelectArgs => {
      space(cursor);
      const name = encodedMailboxName(astring(cursor));
      return { name, ...(skip(cursor, " ") ? selectParameters(cursor) : noParameters) };
    },
    run: (call) => openMailbox(call, isExamine),
  });
}

async function openMailbox(call: SelectCall, isExamine: boolean): Promise<Reply> {
  const { session, state, args, output, signal } = call;
  const { enabled } = session;
  // The old mailbox is left even when the new one cannot be opened (RFC 3501 6.3.1).
  if (state.kind === "selected") output.write(untagged("OK [CLOSED] Previous mailbox closed."));
  const authenticated = deselect(state);
  session.state = authenticated;
  if (args.known && !enabled.qresync) throw new ParseError("QRESYNC not enabled");
  if (args.condstore) enabled.condstore = true;

  const opened: { view?: View; gone?: MailboxChange } = {};
  const onChange = (change: MailboxChange): void => {
    // What happens before the view is made is in the mailbox's own list already.
    if (opened.view) opened.view.apply(change);
    else if (change.kind === "gone") opened.gone = change;
    if (opened.view?.gone) session.wake();
    else session.onNews?.();
  };
  const options = { examine: isExamine, modSeqs: enabled.condstore, onChange };
  const mailbox = await authenticated.account.open(args.name, options, signal);
  const view = createView(mailbox.uids);
  opened.view = view;
  if (opened.gone) view.apply(opened.gone);
  const readOnly = isExamine || mailbox.readOnly;
  const selected: Selected = {
    ...authenticated,
    kind: "selected",
    mailbox,
    view,
    readOnly,
    trees: createPartTrees(),
    saved: { uids: [] },
    told: { flags: mailbox.flags },
    enabled,
  };
  let missed: Missed | undefined;
  try {
    missed = args.known && (await missedSince(selected, args.known, signal));
  } catch (error) {
    mailbox.close();
    throw error;
  }
  session.state = selected;
  describe(selected, output);
  if (missed) await writeMissed(selected, missed, output);
  const verb = isExamine ? "Examine" : "Select";
  return ok(`${verb} completed.`, readOnly ? "READ-ONLY" : "READ-WRITE");
}

function describe(selected: Selected, output: Output): void {
  const { mailbox, view } = selected;
  describeFlags(selected, output);
  output.write(untagged(`${view.uids.length} EXISTS`));
  output.write(untagged(`${countRecent(selected)} RECENT`));
  if (mailbox.firstUnseen !== undefined)
    output.write(untagged(`OK [UNSEEN ${mailbox.firstUnseen}] First unseen.`));
  output.write(untagged(`OK [UIDVALIDITY ${mailbox.uidValidity}] UIDs valid`));
  output.write(untagged(`OK [UIDNEXT ${mailbox.uidNext}] Predicted next UID`));
  // Like the legacy server's, it may not be known before a client wants it.
  if (mailbox.highestModSeq !== undefined || selected.enabled.condstore)
    output.write(describeHighest(mailbox.highestModSeq));
}
