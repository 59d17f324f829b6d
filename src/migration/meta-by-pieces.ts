/**
 * Metadata that the legacy server does not tell as it should: INTERNALDATE or RFC822.SIZE is left out, NIL or no date,
 * or asking for one of them ends the connection. What is told is taken; the date is read from the header then, and the
 * size is that of the bytes, so that clients see the message all the same. Flags are nothing that could be made up.
 */
import type { MailboxLease, MetaItem } from "../legacy/source.ts";
import type { Uid } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import { noModSeq } from "../mail/mod-seq.ts";
import { uidSetOf } from "../mail/number-set.ts";
import { receivedDate } from "../mail/received-date.ts";
import { fetchAround } from "./fetch-around.ts";
import { now } from "./local-authority.ts";
import { noteMadeUp } from "./made-up.ts";
import type { MailboxWork } from "./mailbox-lease.ts";
import type { MailboxState } from "./mailbox-state.ts";
import { type Asked, unreadableOf } from "./unreadable.ts";

interface Question {
  readonly asked: Asked;
  readonly items: readonly MetaItem[];
}

const allAtOnce: readonly Question[] = [
  { asked: "metadata", items: ["FLAGS", "INTERNALDATE", "RFC822.SIZE"] },
];
const oneByOne: readonly Question[] = [
  { asked: "flags", items: ["FLAGS"] },
  { asked: "date", items: ["INTERNALDATE"] },
  { asked: "size", items: ["RFC822.SIZE"] },
];
/** Messages of which headers or bytes are asked for at once. */
const rangeMessages = 200;

/**
 * `incomplete` were answered, but not as they should be (or not at all: they may have gone); asking for the metadata of
 * `broken` fails. Commits what can be known of them.
 */
export async function fetchByPieces(
  mailbox: MailboxState,
  work: MailboxWork,
  { incomplete, broken }: { readonly incomplete: readonly Uid[]; readonly broken: readonly Uid[] },
): Promise<void> {
  for (let from = 0; from < incomplete.length; from += rangeMessages)
    await take(mailbox, work, incomplete.slice(from, from + rangeMessages), allAtOnce);
  for (const uid of broken) await take(mailbox, work, [uid], oneByOne);
}

/** What was told of each. */
type Parts = Map<Uid, Partial<MessageMeta>>;
type WithFlags = Partial<MessageMeta> & Pick<MessageMeta, "uid" | "flags">;

async function take(
  mailbox: MailboxState,
  work: MailboxWork,
  uids: readonly Uid[],
  questions: readonly Question[],
): Promise<void> {
  const { record, logger } = mailbox;
  const parts: Parts = new Map();
  const add = (uid: Uid, part: Partial<MessageMeta>): void => {
    parts.set(uid, { ...parts.get(uid), ...part });
  };
  /** Of those that cannot be had nothing is added. */
  const ask = async (asked: Asked, of: readonly Uid[], fetch: Fetch): Promise<void> => {
    if (of.length === 0) return;
    const told = new Set<Uid>();
    const isHere = (uid: Uid): boolean => told.has(uid);
    const note = (uid: Uid, part: Partial<MessageMeta>): void => {
      told.add(uid);
      add(uid, part);
    };
    await fetchAround(mailbox, {
      asked,
      uids: of,
      isBroken: questions === oneByOne,
      work,
      isHere,
      fetch: (lease, _record, some) => fetch(lease, some, note),
    });
  };

  // With the date there, it is the size that breaks.
  for (const { asked, items } of questions)
    if (asked !== "size" || uids.some((uid) => parts.get(uid)?.internalDate === undefined))
      await ask(asked, uids, (lease, some, note) => lease.fetchPartly(uidSetOf(some), items, note));
  const known = withFlags(parts);
  if (mailbox.record.uidValidity !== record.uidValidity || known.length === 0) return;
  // Clients may ask for no more than these.
  mailbox.commitFlags(known.map(({ uid, flags, modSeq = noModSeq }) => ({ uid, flags, modSeq })));
  const lacking = (what: "internalDate" | "sizeBytes"): readonly Uid[] =>
    known.filter((part) => part[what] === undefined).map(({ uid }) => uid);
  for (const { uid, internalDate } of known)
    if (internalDate) unreadableOf(mailbox).dates.set(uid, internalDate);
  const undated = lacking("internalDate");
  const unsized = lacking("sizeBytes");
  await ask("header", undated, (lease, some, note) =>
    lease.fetchHeaders(uidSetOf(some), (uid, header) =>
      note(uid, { internalDate: receivedDate(header) ?? now() }),
    ),
  );
  await ask("content", unsized, countBytes);
  const metas = withFlags(parts).flatMap(wholeOf);
  if (metas.length === 0) return;
  mailbox.commitMeta(record, metas);
  const madeUp = metas.map(({ uid }) => uid).filter((uid) => undated.includes(uid) || unsized.includes(uid));
  noteMadeUp(mailbox, madeUp);
  logger.warn({ mailbox: record.name, uids: madeUp }, "date or size of messages are taken from their text");
}

type Fetch = (
  lease: MailboxLease,
  uids: readonly Uid[],
  note: (uid: Uid, part: Partial<MessageMeta>) => void,
) => Promise<void>;

const countBytes: Fetch = (lease, uids, note) => {
  let current: { readonly uid: Uid; readonly sizeBytes: number } | undefined;
  return lease.fetchBodies(uidSetOf(uids), {
    begin(uid, sizeBytes) {
      current = { uid, sizeBytes };
    },
    write: () => undefined,
    end() {
      if (current) note(current.uid, { sizeBytes: current.sizeBytes });
      return undefined;
    },
  });
};

function withFlags(parts: Parts): readonly WithFlags[] {
  return [...parts].flatMap(([uid, part]) =>
    part.flags === undefined ? [] : [{ ...part, uid, flags: part.flags }],
  );
}

function wholeOf({ uid, flags, modSeq = noModSeq, internalDate, sizeBytes }: WithFlags): MessageMeta[] {
  if (internalDate === undefined || sizeBytes === undefined) return [];
  return [{ uid, flags, modSeq, internalDate, sizeBytes }];
}
