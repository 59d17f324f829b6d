/** SELECT, EXAMINE, CHECK, CLOSE (RFC 3501 6.3.1, 6.3.2, 6.4.1, 6.4.2) and UNSELECT (RFC 3691). */
import type { FirstLook, MailboxChange, OpenMailbox } from "../../account/account.ts";
import { hasFlag } from "../../mail/flags.ts";
import { type EncodedMailboxName, encodedMailboxName, type Uid } from "../../mail/ids.ts";
import type { Output } from "../../wire/output.ts";
import { type Call, type Command, define, nothing } from "../command.ts";
import { describeHighest } from "../condstore.ts";
import { ok, type Reply, untagged } from "../formatter.ts";
import { countRecent, writeFlags } from "../notices.ts";
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

/** Listing so many takes the old server longer than anybody likes to wait for SELECT. */
const manyMessages = 10_000;

async function openMailbox(call: SelectCall, isExamine: boolean): Promise<Reply> {
  const { session, state, args, output, signal } = call;
  const { enabled } = session;
  // The old mailbox is left even when the new one cannot be opened (RFC 3501 6.3.1).
  if (state.kind === "selected") output.write(untagged("OK [CLOSED] Previous mailbox closed."));
  const authenticated = deselect(state);
  session.state = authenticated;
  if (args.known && !enabled.qresync) throw new ParseError("QRESYNC not enabled");
  if (args.condstore) enabled.condstore = true;

  const { promise: firstLook, resolve } = Promise.withResolvers<FirstLook>();
  const told: Told = {};
  const onFirstLook = (first: FirstLook): void => {
    if (first.exists < manyMessages || enabled.condstore) return;
    told.first = first;
    resolve(first);
  };
  const opening = openSelected(call, authenticated, isExamine, { told, onFirstLook });
  const selected = await Promise.race([opening, firstLook]);
  if (!("kind" in selected)) {
    opening.catch(() => undefined);
    session.state = { kind: "opening", account: authenticated.account, selected: opening };
    const readOnly = isExamine || selected.readOnly;
    describe(output, { ...selected, readOnly, recent: 0 });
    return opened(isExamine, readOnly);
  }
  let missed: Missed | undefined;
  try {
    missed = args.known && (await missedSince(selected, args.known, signal));
  } catch (error) {
    selected.mailbox.close();
    throw error;
  }
  session.state = selected;
  const { mailbox, view, readOnly } = selected;
  const { uidValidity, uidNext, flags, permanentFlags, firstUnseen } = mailbox;
  const [exists, recent] = [view.uids.length, countRecent(selected)];
  describe(output, { uidValidity, uidNext, flags, permanentFlags, firstUnseen, readOnly, exists, recent });
  // Like the legacy server's, it may not be known before a client wants it.
  if (mailbox.highestModSeq !== undefined || enabled.condstore)
    output.write(describeHighest(mailbox.highestModSeq));
  if (missed) await writeMissed(selected, missed, output);
  return opened(isExamine, readOnly);
}

interface Told {
  /** What the client was told ahead of the listing, if it was. */
  first?: FirstLook;
}

interface Early {
  readonly told: Told;
  readonly onFirstLook: (first: FirstLook) => void;
}

async function openSelected(
  { session, args, signal }: SelectCall,
  authenticated: Authenticated,
  isExamine: boolean,
  { told, onFirstLook }: Early,
): Promise<Selected> {
  const { enabled } = session;
  const opened: { view?: View; gone?: MailboxChange } = {};
  const onChange = (change: MailboxChange): void => {
    // What happens before the view is made is in the mailbox's own list already.
    if (opened.view) opened.view.apply(change);
    else if (change.kind === "gone") opened.gone = change;
    if (opened.view?.gone) session.wake();
    else session.onNews?.();
  };
  const options = { examine: isExamine, modSeqs: enabled.condstore, onChange, onFirstLook };
  const mailbox = await authenticated.account.open(args.name, options, signal);
  const view = viewOf(mailbox, told.first);
  opened.view = view;
  if (opened.gone) view.apply(opened.gone);
  return {
    ...authenticated,
    kind: "selected",
    mailbox,
    view,
    readOnly: isExamine || mailbox.readOnly,
    trees: createPartTrees(),
    saved: { uids: [] },
    told: { flags: told.first?.flags ?? mailbox.flags },
    enabled,
  };
}

/** As the client knows it, who has seen no UID yet: what is more than it was told has arrived, what is less ends it. */
function viewOf({ uids, uidValidity }: OpenMailbox, first: FirstLook | undefined): View {
  if (!first || (uids.length === first.exists && uidValidity === first.uidValidity)) return createView(uids);
  const view = createView(uids.slice(0, first.exists));
  view.apply({ kind: "arrived", uids: uids.slice(first.exists) });
  const isMore = uids.length > first.exists && uidValidity === first.uidValidity;
  if (!isMore) view.apply({ kind: "gone", reason: "The mailbox has changed, please reopen it" });
  return view;
}

function opened(isExamine: boolean, readOnly: boolean): Reply {
  return ok(`${isExamine ? "Examine" : "Select"} completed.`, readOnly ? "READ-ONLY" : "READ-WRITE");
}

function describe(output: Output, mailbox: FirstLook & { readonly recent: number }): void {
  writeFlags(mailbox, output);
  output.write(untagged(`${mailbox.exists} EXISTS`));
  output.write(untagged(`${mailbox.recent} RECENT`));
  if (mailbox.firstUnseen !== undefined)
    output.write(untagged(`OK [UNSEEN ${mailbox.firstUnseen}] First unseen.`));
  output.write(untagged(`OK [UIDVALIDITY ${mailbox.uidValidity}] UIDs valid`));
  output.write(untagged(`OK [UIDNEXT ${mailbox.uidNext}] Predicted next UID`));
}
