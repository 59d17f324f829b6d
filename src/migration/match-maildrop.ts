/**
 * Finds which message here each message of the legacy maildrop is, asking the old POP3 server for no more than it
 * takes (the ways are in uidl-match.ts). What cannot be told gets its reason.
 */
import { isUnavailable, unlessRefused, unreadableIn } from "../errors.ts";
import type { Pop3Session } from "../legacy/pop3-client.ts";
import { headerPrint } from "../mail/header-print.ts";
import type { MailboxId, Uid } from "../mail/ids.ts";
import type { MessageContent } from "../mail/message.ts";
import { piecesOf } from "../mail/message-content.ts";
import { createMessagePrint } from "../mail/message-print.ts";
import { readHeader } from "../mail/read-header.ts";
import type { MaildropEntry } from "../store/maildrop-table.ts";
import { uidlRecipeKey } from "../store/pop3-fields.ts";
import type { AccountStore } from "../store/store.ts";
import { StoreTrouble } from "../store/store-errors.ts";
import { breathe, createPipeline, waitWith } from "../waiting.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import { contentDigest, haveDigests, matchByDigest } from "./match-digest.ts";
import {
  type ImapSide,
  type Keys,
  type Matching,
  matchByKey,
  matchByKnownRecipe,
  matchByRecipe,
  matchBySizeAndOrder,
  type Pop3Side,
  rivals,
  unmatched,
} from "./uidl-match.ts";

export interface MatchRequest {
  readonly store: AccountStore;
  /** Of `session`, in its order. */
  readonly listing: readonly Pop3Side[];
  /** What is kept of each of them. */
  readonly entries: readonly MaildropEntry[];
  /** Where their messages may be; up to date. */
  readonly mailboxes: readonly MailboxMirror[];
  readonly session: Pop3Session;
  readonly prints: PrintCache;
  /** A client is waiting: what takes more questions than these is left for later. */
  readonly maxQuestions: number;
  readonly signal: AbortSignal;
}

/** Prints of headers that were read before, by message and by UIDL: a matching that was cut off goes on. */
export type PrintCache = Map<string, string>;

const noneLikeIt = "no message that IMAP shows is like it";
const notYet = "not matched yet";
/** Sent ahead where the server bears it. */
const questionsAtOnce = 20;
const readsPerTurn = 50;

/** The entries, each with its message or the reason why there is none. */
export async function matchMaildrop(request: MatchRequest): Promise<readonly MaildropEntry[]> {
  const { entries, listing } = request;
  if (!entries.some(isOpen)) return entries;
  const started = openSides(request);
  const isWhole = started.pop3.length === entries.length;
  let matching = byRecipe(request.store, started, isWhole);
  if (matching.pop3.length > 0) {
    matching = byRecipe(
      request.store,
      await withSizes(request, matching),
      isWhole && matching.pairs.length === 0,
    );
    // Of a few that are left, one size says little.
    if (isWhole && matching.pairs.length === 0) matching = matchBySizeAndOrder(matching);
  }
  const isAsked = isWithin(request, matching);
  if (matching.pop3.length > 0 && isAsked) matching = await byContent(request, matching);
  const found = new Map(matching.pairs.map(({ pop3, imap }) => [pop3.number, imap]));
  return entries.map((entry, index) => {
    if (!isOpen(entry)) return entry;
    const message = found.get(listing[index]?.number ?? 0);
    if (message)
      return { ...entry, message: { mailbox: message.mailbox, uid: message.uid }, problem: undefined };
    return { ...entry, problem: isAsked ? noneLikeIt : (entry.problem ?? notYet) };
  });
}

/** A client that waited kept it from being matched. */
export const isLeftForLater = ({ message, problem }: MaildropEntry): boolean =>
  message === undefined && problem === notYet;

const isOpen = ({ message, isRemoved }: MaildropEntry): boolean => message === undefined && !isRemoved;

/** What is not matched yet. */
function openSides({ entries, listing, mailboxes }: MatchRequest): Matching {
  const taken = new Set(entries.flatMap(({ message }) => (message ? [keyOf(message)] : [])));
  const imap = mailboxes.flatMap(({ state: { record, table } }): ImapSide[] => {
    const { id: mailbox, uidValidity } = record;
    if (uidValidity === undefined) return [];
    return table.uids
      .filter((uid) => !taken.has(keyOf({ mailbox, uid })))
      .map((uid) => {
        const message = table.get(uid);
        const sizeBytes = message && message.presence !== "remote" ? message.sizeBytes : undefined;
        return { mailbox, uidValidity, uid, sizeBytes };
      });
  });
  const pop3 = listing.filter((_, index) => entries[index] && isOpen(entries[index]));
  return unmatched(imap, pop3);
}

function byRecipe(store: AccountStore, matching: Matching, isWhole: boolean): Matching {
  const known = store.readSetting(uidlRecipeKey);
  if (known !== undefined && !isWhole) return matchByKnownRecipe(matching, known);
  if (!isWhole) return matching;
  const { recipe, ...matched } = matchByRecipe(matching);
  if (recipe !== undefined && recipe !== known) keepRecipe(store, recipe);
  return matched;
}

/** On a full disk it is found again. */
function keepRecipe(store: AccountStore, recipe: string): void {
  try {
    store.writeSetting(uidlRecipeKey, recipe);
  } catch (error) {
    if (!(error instanceof StoreTrouble)) throw error;
  }
}

async function withSizes(request: MatchRequest, matching: Matching): Promise<Matching> {
  const unknown = matching.imap.filter(({ sizeBytes }) => sizeBytes === undefined);
  if (unknown.length > request.maxQuestions * readsPerTurn) return matching;
  for (const mailbox of request.mailboxes) {
    const { id } = mailbox.state.record;
    const uids = unknown.filter((message) => message.mailbox === id).map(({ uid }) => uid);
    await waitWith(unreadableIn(mailbox.metadata(uids)), request.signal);
  }
  const { imap } = openSides(request);
  const left = new Set(matching.imap.map(keyOf));
  return { ...matching, imap: imap.filter((message) => left.has(keyOf(message))) };
}

function isWithin({ maxQuestions }: MatchRequest, { imap, pop3 }: Matching): boolean {
  return pop3.length <= maxQuestions && imap.length <= maxQuestions;
}

async function byContent(request: MatchRequest, started: Matching): Promise<Matching> {
  const left = haveDigests(started) ? await byDigest(request, started) : started;
  if (left.pop3.length === 0) return left;
  const headers = await printsOf(request, left, headerHere, headerThere);
  const single = matchByKey(left, headers, "single");
  const twins = rivals(single, headers);
  if (twins.pop3.length === 0) return single;
  const whole = await printsOf(request, twins, messageHere, messageThere);
  // Equal to the last byte: whichever is taken, no client can tell. Then those whose text the server changes.
  return matchByKey(matchByKey(single, whole, "any"), headers, "even");
}

async function byDigest(request: MatchRequest, started: Matching): Promise<Matching> {
  const digests = await printsOf(request, { imap: started.imap, pop3: [] }, digestHere, headerThere);
  return matchByDigest(started, digests.ofImap);
}

/** The print of one message; undefined where it cannot be had. */
type PrintHere = (mailbox: MailboxMirror, uid: Uid, signal: AbortSignal) => Promise<string | undefined>;
type PrintThere = (session: Pop3Session, number: number) => Promise<string>;

async function printsOf(
  request: MatchRequest,
  { imap, pop3 }: Pick<Matching, "imap" | "pop3">,
  here: PrintHere,
  there: PrintThere,
): Promise<Keys> {
  const { session, prints, signal, mailboxes } = request;
  const placeOf = ({ number, uidl, sizeBytes }: Pop3Side): string =>
    `${there.name} ${number} ${sizeBytes} ${uidl}`;
  const nameOf = (message: ImapSide): string => `${here.name} ${message.uidValidity} ${keyOf(message)}`;
  const keep = async (key: string, print: () => Promise<string | undefined>): Promise<void> => {
    signal.throwIfAborted();
    if (prints.has(key)) return;
    const known = await print();
    if (known !== undefined) prints.set(key, known);
  };
  const questions = createPipeline(questionsAtOnce);
  for (const message of pop3) {
    // A message that the server does not give has no print; a server that is gone has none of any.
    await questions.add(keep(placeOf(message), () => unlessRefused(there(session, message.number))));
  }
  await questions.drain();
  const byId = new Map(mailboxes.map((mailbox) => [mailbox.state.record.id, mailbox]));
  for (const [index, message] of imap.entries()) {
    if (index % readsPerTurn === 0) {
      await breathe();
      prefetch(byId, imap.slice(index, index + readsPerTurn));
    }
    const mailbox = byId.get(message.mailbox);
    if (mailbox) await keep(nameOf(message), () => here(mailbox, message.uid, signal));
  }
  return {
    ofImap: (message) => prints.get(nameOf(message)),
    ofPop3: (message) => prints.get(placeOf(message)),
  };
}

function prefetch(byId: ReadonlyMap<MailboxId, MailboxMirror>, messages: readonly ImapSide[]): void {
  for (const [id, mailbox] of byId) {
    const uids = messages.filter((message) => message.mailbox === id).map(({ uid }) => uid);
    if (uids.length > 0) mailbox.prefetch(uids);
  }
}

export async function headerHere(
  mailbox: MailboxMirror,
  uid: Uid,
  signal: AbortSignal,
): Promise<string | undefined> {
  const content = await contentOf(mailbox, uid, signal);
  return content && headerPrint(await readHeader(content)).hash;
}

export async function headerThere(session: Pop3Session, number: number): Promise<string> {
  const head = await byTop(session, async () => headerPrint(await session.top(number, 0)));
  return head?.isWhole ? head.hash : headerOf(await messageThere(session, number));
}

async function digestHere(
  mailbox: MailboxMirror,
  uid: Uid,
  signal: AbortSignal,
): Promise<string | undefined> {
  const content = await contentOf(mailbox, uid, signal);
  return content && contentDigest(content);
}

/** undefined where there is no TOP (RFC 1939 has it optional), or no such message, as the next answer tells. */
async function byTop<T>({ capabilities }: Pop3Session, ask: () => Promise<T>): Promise<T | undefined> {
  if (capabilities.size > 0 && !capabilities.has("TOP")) return undefined;
  return unlessRefused(ask());
}

const headerOf = (print: string): string => print.split(":", 1).join("");

async function messageHere(
  mailbox: MailboxMirror,
  uid: Uid,
  signal: AbortSignal,
): Promise<string | undefined> {
  const content = await contentOf(mailbox, uid, signal);
  if (!content) return undefined;
  try {
    const print = createMessagePrint();
    for await (const bytes of piecesOf(content)) print.write(bytes);
    return print.end();
  } finally {
    content.close();
  }
}

/** By RETR only where there is no other way: it has servers take the message for read. */
async function messageThere(session: Pop3Session, number: number): Promise<string> {
  const printBy = async (ask: Pop3Session["peek"]): Promise<string> => {
    const print = createMessagePrint();
    await ask(number, (bytes) => print.write(bytes) as undefined);
    return print.end();
  };
  return (await byTop(session, () => printBy(session.peek))) ?? printBy(session.retrieve);
}

/** One that cannot be read (in quarantine, say) is none that could be matched. */
async function contentOf(
  mailbox: MailboxMirror,
  uid: Uid,
  signal: AbortSignal,
): Promise<MessageContent | undefined> {
  try {
    return await mailbox.content(uid, signal);
  } catch (error) {
    if (isUnavailable(error)) return undefined;
    throw error;
  }
}

const keyOf = ({ mailbox, uid }: { readonly mailbox: MailboxId; readonly uid: Uid }): string =>
  `${mailbox}:${uid}`;
