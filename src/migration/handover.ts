/**
 * Hands a local account over to a stock Dovecot: what is written and checked is of one moment, in which changes wait.
 * Mailferry goes on serving the account until it is stopped.
 */
import { MailError } from "../errors.ts";
import type { Listing } from "../legacy/source.ts";
import { decodeMailboxName } from "../mail/mailbox-name.ts";
import type { HandedMaildir } from "../store/hand-over.ts";
import type { MaildropEntry } from "../store/maildrop-table.ts";
import { keepUidlFormat } from "../store/pop3-fields.ts";
import type { StoredMessage } from "../store/store.ts";
import { pause } from "../waiting.ts";
import { handoverNotes } from "./handover-notes.ts";
import { formatHandoverScript } from "./handover-script.ts";
import { alone } from "./hold.ts";
import { keptListing } from "./listing.ts";
import { firstListing } from "./local-names.ts";
import { isTransferring } from "./local-transfer.ts";
import type { MailboxState } from "./mailbox-state.ts";
import type { Mirror } from "./mirror.ts";

export interface HandoverOptions {
  readonly user: string;
  readonly mirror: Mirror;
  /** For UIDLs, where no POP3 client has seen any so far. */
  readonly uidlFormat: string;
  readonly signal: AbortSignal;
}

export interface HandoverReport {
  readonly user: string;
  readonly mailboxes: number;
  readonly messages: number;
  /** What does not agree, for people. */
  readonly problems: readonly string[];
  /** What Dovecot will show otherwise. */
  readonly notes: readonly string[];
  /** For sh: what a Maildir cannot hold, as doveadm commands. */
  readonly script: string;
}

/** What is known of the account at one moment, and how its Maildir is then. */
export interface Moment {
  readonly listing: Listing;
  readonly maildir: HandedMaildir;
  /** By mailbox, in the order of `maildir.mailboxes`. */
  readonly messages: readonly (readonly StoredMessage[])[];
  readonly maildrop: readonly MaildropEntry[];
}

const maxTries = 10;
/** Until mail that is being delivered is whole, or a change of several steps has come to its end. */
const pauseMs = 500;

export async function handOver(options: HandoverOptions): Promise<HandoverReport> {
  const { user, mirror, uidlFormat, signal } = options;
  const { store } = mirror;
  const format = keepUidlFormat(store, uidlFormat);
  const moment = await takeMoment(mirror, signal);
  await store.makeDurable();
  const { maildir, messages } = moment;
  const notes = handoverNotes(store, moment);
  return {
    user,
    mailboxes: messages.length,
    messages: messages.reduce((sum, { length }) => sum + length, 0),
    problems: problemsOf(maildir),
    notes,
    script: formatHandoverScript({ user, moment, notes, uidlFormat: format.text }),
  };
}

async function takeMoment(mirror: Mirror, signal: AbortSignal): Promise<Moment> {
  for (let tries = maxTries; ; tries--) {
    signal.throwIfAborted();
    const mailboxes = await mirror.all();
    // Mail that others have delivered gets its UIDs here.
    for (const mailbox of mailboxes) await mailbox.sync(signal);
    const states = mailboxes.map(({ state }) => state);
    let moment: Moment | undefined;
    await alone(states, async () => {
      moment = await writeAndCheck(mirror, states);
    });
    const isSettled = moment?.maildir.mailboxes.every(({ unknownFiles }) => unknownFiles.length === 0);
    // What nobody can read stays unknown: it is reported.
    if (moment && (isSettled || tries <= 1)) return moment;
    if (tries <= 1) throw new MailError("INUSE", "the account does not come to rest: try again");
    await pause(pauseMs, signal);
  }
}

/** undefined where something changes that waits for no mailbox: names, a MOVE between two of its steps. */
async function writeAndCheck(
  { store }: Mirror,
  states: readonly MailboxState[],
): Promise<Moment | undefined> {
  if (states.some(({ isLocal }) => !isLocal)) throw new MailError("CANNOT", "the account is not local");
  const listing = keptListing(store) ?? firstListing;
  const names = (): string => JSON.stringify([keptListing(store) ?? firstListing, recordNames(states)]);
  const before = names();
  const known = new Set(recordNames(states));
  const isWhole = (): boolean =>
    names() === before &&
    !isTransferring(store) &&
    store.mailboxes().length === states.length &&
    store.mailboxes().every(({ name }) => known.has(name));
  if (!isWhole()) return undefined;
  const messages = states.map(({ table }) => table.all());
  const maildir = await store.handOver({
    mailboxes: states.map(({ record }, index) => ({ record, messages: messages[index] ?? [] })),
    subscriptions: listing.subscriptions.map(({ name }) => name),
    separator: listing.namespaces.personal?.[0]?.separator ?? null,
  });
  const maildrop = await store.maildrop.entries();
  return isWhole() ? { listing, maildir, messages, maildrop } : undefined;
}

const recordNames = (states: readonly MailboxState[]): readonly string[] =>
  states.map(({ record }) => record.name);

function problemsOf({ problems, mailboxes }: HandedMaildir): readonly string[] {
  return [
    ...problems,
    ...mailboxes.flatMap(({ record, problems: own, unknownFiles }) =>
      [...own, ...unknownFiles.map((file) => `${file} is no message here: Dovecot would show it`)].map(
        (problem) => `${decodeMailboxName(record.name)}: ${problem}`,
      ),
    ),
  ];
}
