/**
 * Mailboxes that the old server's LIST leaves out: a server does so for a moment, or while a users' tree is not mounted,
 * and their messages must not go with it.
 *
 * What always holds
 * - Whose deletion was asked for here and answered OK is gone, and so is one that somebody has decided on.
 * - Any other is gone when it has been left out for `confirmAfterMs`, by the looks at both ends of that time, and
 *   STATUS of its name says that there is none.
 * - Where more than half of the mailboxes, or of 50 messages and more, would go at once, and are not there under other
 *   names, somebody has to decide: they are held, over a restart, too, until they are listed again.
 */
import { isNonexistent } from "../errors.ts";
import type { LegacyStatus } from "../legacy/source.ts";
import type { Logger } from "../log.ts";
import type { EncodedMailboxName, MailboxId, Uid } from "../mail/ids.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";
import { brakeFrom } from "./deletion-brake.ts";
import { isSelectable } from "./listing.ts";
import { isLossOfMost } from "./slow-losses.ts";

export interface AbsentMailboxes {
  /** Their deletion was asked for here: answered OK, or nobody knows. */
  expect(names: readonly EncodedMailboxName[], outcome: "done" | "unknown"): void;
  /**
   * Looks at the names by `list`, which gives those that are left out. What is given back is to be forgotten: `replaced`
   * are listed again, and other mailboxes now.
   */
  judge(list: () => Promise<readonly MailboxRecord[]>): Promise<JudgedMailboxes>;
  /** Why a mailbox is doubted, for people; undefined where it is not. */
  reasonOf(id: MailboxId): string | undefined;
  /** It is shown to clients as it was: nobody says that it is gone, or somebody must decide on it. */
  isServed(id: MailboxId): boolean;
  readonly isAny: boolean;
  /** Somebody must decide on them. */
  readonly held: ReadonlySet<MailboxId>;
  /** Somebody has decided: what is absent now is gone, or these of it. */
  release(some?: ReadonlySet<MailboxId>): void;
  /** Until a look can tell more, in milliseconds; undefined where none is needed. */
  againInMs(): number | undefined;
}

export interface JudgedMailboxes {
  readonly gone: readonly GoneMailbox[];
  readonly replaced: readonly MailboxRecord[];
  /** The old server says that there is none of that name: its sessions cannot go on. */
  readonly shut: readonly MailboxRecord[];
}

export interface GoneMailbox {
  readonly record: MailboxRecord;
  /** Somebody wanted it to go: nothing of it is kept. */
  readonly isWanted: boolean;
}

export interface AbsentMailboxesOptions {
  readonly store: AccountStore;
  readonly logger: Logger;
  readonly confirmAfterMs: number;
  /** What STATUS says of each; rejections are told apart. */
  readonly ask: (names: readonly EncodedMailboxName[]) => Promise<readonly StatusAnswer[]>;
  /** What is here of it. */
  readonly uidsOf: (record: MailboxRecord) => Promise<readonly Uid[]>;
}

export type StatusAnswer = PromiseSettledResult<LegacyStatus>;

interface Absence {
  readonly id: MailboxId;
  readonly sinceMs: number;
  readonly isHeld: boolean;
  /** What STATUS said of its name. */
  readonly said: "none" | "there" | "nothing";
}

/** What must not go unasked, and what is not gone at all. */
interface Weighed {
  readonly tooMuch: ReadonlySet<MailboxId>;
  readonly moved: ReadonlySet<MailboxId>;
}

const key = "absent";
/** A look at the very end of the time may be a moment early. */
const marginMs = 500;

export function createAbsentMailboxes(options: AbsentMailboxesOptions): AbsentMailboxes {
  const { store, logger, confirmAfterMs, ask, uidsOf } = options;
  let absent: ReadonlyMap<MailboxId, Absence> = readAbsences(store);
  const decided = new Set<MailboxId>();
  const asked = new Map<EncodedMailboxName, { readonly outcome: "done" | "unknown" }>();

  const keep = (next: ReadonlyMap<MailboxId, Absence>): void => {
    if (next.size === 0 && absent.size === 0) return;
    absent = next;
    store.writeSetting(key, JSON.stringify([...next.values()]));
  };
  /** A clock that has been set back is no reason to wait for ever. */
  const isDue = ({ sinceMs }: Pick<Absence, "sinceMs">): boolean =>
    Math.abs(Date.now() - sinceMs) >= confirmAfterMs;

  const askAbout = async (records: readonly MailboxRecord[]): Promise<Map<MailboxId, StatusAnswer>> => {
    if (records.length === 0) return new Map();
    const answers = await ask(records.map(({ name }) => name));
    return new Map(records.flatMap(({ id }, index) => (answers[index] ? [[id, answers[index]]] : [])));
  };
  const isAsked = ({ name }: MailboxRecord): boolean => asked.has(name);
  const isAnswered = ({ name }: MailboxRecord): boolean => asked.get(name)?.outcome === "done";
  /** One that was never looked at has nothing to lose. */
  const isSettled = (record: MailboxRecord): boolean =>
    decided.has(record.id) || isAnswered(record) || record.uidValidity === undefined;
  const isWorthAsking = (record: MailboxRecord, { tooMuch }: Weighed): boolean => {
    const known = absent.get(record.id);
    return isAsked(record) || (!tooMuch.has(record.id) && (!known || isDue(known)));
  };
  const absenceOf = (
    { id }: MailboxRecord,
    answer: StatusAnswer | undefined,
    { tooMuch, moved }: Weighed,
  ): Absence => {
    const { sinceMs = Date.now(), said = "nothing", isHeld = false } = absent.get(id) ?? {};
    const absence = { id, sinceMs, said: answer ? saidBy(answer) : said };
    const mustBeHeld = isHeld || (tooMuch.has(id) && isDue(absence));
    return { ...absence, isHeld: mustBeHeld && !moved.has(id) };
  };
  const isCertain = (record: MailboxRecord, absence: Absence | undefined): boolean => {
    if (absence?.said !== "none") return false;
    return isAsked(record) || (isDue(absence) && !absence.isHeld);
  };
  const tellNew = (records: readonly MailboxRecord[]): void => {
    for (const { id, name } of records)
      if (!absent.has(id)) logger.warn({ mailbox: name }, "the old server does not list a mailbox any more");
  };
  /** More than a person deletes in a moment. */
  const isMost = async (records: readonly MailboxRecord[]): Promise<boolean> => {
    if (records.length === 0) return false;
    const all = store.mailboxes().filter(isSelectable);
    if (records.length > all.length / 2) return true;
    const left = new Set(records.map(({ id }) => id));
    const counts = await Promise.all(
      all.map(async (record) => ({ record, messages: (await uidsOf(record)).length })),
    );
    const sum = (some: typeof counts): number => some.reduce((total, { messages }) => total + messages, 0);
    const total = sum(counts);
    const lost = sum(counts.filter(({ record }) => left.has(record.id)));
    return (total >= brakeFrom && lost > total / 2) || isLossOfMost(store, lost);
  };
  /** Those that others have renamed: there under a newer name, with the same UIDVALIDITY and as many messages. */
  const movedAmong = async (records: readonly MailboxRecord[]): Promise<ReadonlySet<MailboxId>> => {
    const left = new Set(records.map(({ id }) => id));
    const validities = new Set(records.map(({ uidValidity }) => uidValidity));
    const newer = store
      .mailboxes()
      .filter(({ id }) => id > Math.min(...left) && !left.has(id))
      .filter(({ uidValidity }) => uidValidity === undefined || validities.has(uidValidity));
    const answers = await askAbout(newer);
    const moved = new Set<MailboxId>();
    for (const { id, uidValidity, ...record } of records) {
      const { length } = await uidsOf({ id, uidValidity, ...record });
      const isIt = (other: MailboxRecord): boolean => {
        const told = answers.get(other.id);
        if (told?.status !== "fulfilled" || other.id < id) return false;
        return told.value.uidValidity === uidValidity && told.value.messages === length;
      };
      if (length > 0 && newer.some(isIt)) moved.add(id);
    }
    return moved;
  };
  /** Of those that nobody here has deleted. */
  const weigh = async (records: readonly MailboxRecord[]): Promise<Weighed> => {
    const none = new Set<MailboxId>();
    if (!(await isMost(records))) return { tooMuch: none, moved: none };
    const moved = await movedAmong(records);
    const left = records.filter(({ id }) => !moved.has(id));
    const isTooMuch = await isMost(left);
    return { tooMuch: isTooMuch ? new Set(left.map(({ id }) => id)) : none, moved };
  };
  /** Of those that are listed again: another mailbox has taken the name where UIDVALIDITY is another. */
  const replacedAmong = async (unlisted: ReadonlySet<MailboxId>): Promise<MailboxRecord[]> => {
    const back = store.mailboxes().filter(({ id }) => absent.has(id) && !unlisted.has(id));
    const answers = await askAbout(back);
    return back.filter(({ id, uidValidity }) => {
      const answer = answers.get(id);
      const now = answer?.status === "fulfilled" ? answer.value.uidValidity : undefined;
      return uidValidity !== undefined && now !== undefined && now !== uidValidity;
    });
  };

  return {
    expect(names, outcome) {
      for (const name of names) asked.set(name, { outcome });
    },
    async judge(list) {
      const askedBefore = [...asked];
      const unlisted = await list();
      const listedOut = new Set(unlisted.map(({ id }) => id));
      for (const id of decided) if (!listedOut.has(id)) decided.delete(id);
      const settled = unlisted.filter(isSettled);
      const doubted = unlisted.filter((record) => !isSettled(record));
      const weighed = await weigh(doubted.filter((record) => !isAsked(record)));
      const answers = await askAbout(doubted.filter((record) => isWorthAsking(record, weighed)));
      const absences = doubted.map((record) => absenceOf(record, answers.get(record.id), weighed));
      const replaced = absent.size === 0 ? [] : await replacedAmong(listedOut);
      const gone = [
        ...settled.map((record) => ({ record, isWanted: isAnswered(record) })),
        ...doubted
          .filter((record, index) => isCertain(record, absences[index]))
          .map((record) => ({ record, isWanted: isAsked(record) })),
      ];
      const left = new Set(gone.map(({ record }) => record.id));
      tellNew(doubted.filter(({ id }) => !left.has(id)));
      keep(new Map(absences.filter(({ id }) => !left.has(id)).map((one) => [one.id, one])));
      // What is asked for while the names are on their way is seen by the next look.
      for (const [name, one] of askedBefore) if (asked.get(name) === one) asked.delete(name);
      for (const id of left) decided.delete(id);
      const shut = doubted.filter(({ id }, index) => answers.has(id) && absences[index]?.said === "none");
      return { gone, replaced, shut };
    },
    reasonOf(id) {
      const absence = absent.get(id);
      return absence && reasonFor(absence);
    },
    isServed(id) {
      const absence = absent.get(id);
      return absence !== undefined && (absence.isHeld || absence.said !== "none");
    },
    get isAny() {
      return absent.size > 0;
    },
    get held() {
      return new Set([...absent.values()].filter(({ isHeld }) => isHeld).map(({ id }) => id));
    },
    release(some = new Set(absent.keys())) {
      for (const id of some) decided.add(id);
    },
    againInMs() {
      const waits = [...absent.values()].filter((one) => !isDue(one)).map(({ sinceMs }) => sinceMs);
      if (waits.length === 0) return undefined;
      return Math.max(0, Math.max(...waits) + confirmAfterMs - Date.now()) + marginMs;
    },
  };
}

function saidBy(answer: StatusAnswer): Absence["said"] {
  if (answer.status === "fulfilled") return "there";
  return isNonexistent(answer.reason) ? "none" : "nothing";
}

function reasonFor({ isHeld, said, sinceMs }: Absence): string {
  const since = `the old server has not listed it since ${new Date(sinceMs).toISOString()}`;
  if (isHeld)
    return `${since}, with most of the account's mail; it is kept here until you decide (deletions --help)`;
  if (said === "there") return `${since}, though STATUS knows it (deletions --help)`;
  return `${since}; it is kept here until it is certain that it is gone`;
}

function readAbsences(store: AccountStore): ReadonlyMap<MailboxId, Absence> {
  const kept = JSON.parse(store.readSetting(key) || "[]") as readonly Absence[];
  return new Map(kept.map((absence) => [absence.id, absence]));
}
