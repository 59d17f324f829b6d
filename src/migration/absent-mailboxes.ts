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
import { isSelectable } from "./listing.ts";

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

const key = "absent";
/** So few messages may go at once. */
const brakeFrom = 50;
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
  const isDue = ({ sinceMs }: Absence): boolean => Math.abs(Date.now() - sinceMs) >= confirmAfterMs;

  const askAbout = async (records: readonly MailboxRecord[]): Promise<Map<MailboxId, StatusAnswer>> => {
    if (records.length === 0) return new Map();
    const answers = await ask(records.map(({ name }) => name));
    return new Map(records.flatMap(({ id }, index) => (answers[index] ? [[id, answers[index]]] : [])));
  };
  const absenceOf = (record: MailboxRecord, answer: StatusAnswer | undefined): Absence => {
    const { id } = record;
    const { sinceMs = Date.now(), isHeld = false, said = "nothing" } = absent.get(id) ?? {};
    return { id, sinceMs, isHeld, said: answer ? saidBy(answer) : said };
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
    return total >= brakeFrom && sum(counts.filter(({ record }) => left.has(record.id))) > total / 2;
  };
  /** Those that others have renamed: there under a newer name, with the same UIDVALIDITY and as many messages. */
  const movedAmong = async (records: readonly MailboxRecord[]): Promise<ReadonlySet<MailboxRecord>> => {
    const left = new Set(records.map(({ id }) => id));
    const first = Math.min(...left);
    const newer =
      records.length === 0 ? [] : store.mailboxes().filter(({ id }) => id > first && !left.has(id));
    const answers = await askAbout(newer);
    const moved = new Set<MailboxRecord>();
    for (const record of records) {
      const { length } = await uidsOf(record);
      const isIt = ({ id }: MailboxRecord): boolean => {
        const told = answers.get(id);
        if (told?.status !== "fulfilled" || id < record.id) return false;
        return told.value.uidValidity === record.uidValidity && told.value.messages === length;
      };
      if (length > 0 && newer.some(isIt)) moved.add(record);
    }
    return moved;
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
      const isAnswered = ({ name }: MailboxRecord): boolean => asked.get(name)?.outcome === "done";
      // One that was never looked at has nothing to lose.
      const isSettled = (record: MailboxRecord): boolean =>
        decided.has(record.id) || isAnswered(record) || record.uidValidity === undefined;
      const settled = unlisted.filter(isSettled);
      const doubted = unlisted.filter((record) => !isSettled(record));
      const isAsked = ({ name }: MailboxRecord): boolean => asked.has(name);
      const unasked = doubted.filter((record) => !isAsked(record));
      const moved = await movedAmong(unasked);
      const isTooMuch = await isMost(unasked.filter((record) => !moved.has(record)));
      const mayGo = (record: MailboxRecord): boolean => !isTooMuch || moved.has(record);
      const isWorthAsking = (record: MailboxRecord): boolean => {
        const known = absent.get(record.id);
        return mayGo(record) && (!known || isDue(known));
      };
      const answers = await askAbout(doubted.filter((record) => isAsked(record) || isWorthAsking(record)));
      const absences = new Map(
        doubted.map((record) => [record.id, absenceOf(record, answers.get(record.id))]),
      );
      const isWanted = (record: MailboxRecord): boolean =>
        isAsked(record) && absences.get(record.id)?.said === "none";
      const isGone = (record: MailboxRecord): boolean => {
        const absence = absences.get(record.id);
        if (!absence) return false;
        const isHeld = absence.isHeld && !moved.has(record);
        return mayGo(record) && !isHeld && absence.said === "none" && isDue(absence);
      };
      const replaced = absent.size === 0 ? [] : await replacedAmong(new Set(unlisted.map(({ id }) => id)));
      const confirmed = unasked.filter(isGone);
      const gone = [
        ...settled.map((record) => ({ record, isWanted: isAnswered(record) })),
        ...doubted.filter(isWanted).map((record) => ({ record, isWanted: true })),
        ...confirmed.map((record) => ({ record, isWanted: false })),
      ];
      const left = new Set(gone.map(({ record }) => record.id));
      const next = [...absences.values()].filter(({ id }) => !left.has(id));
      for (const { id, name } of unasked)
        if (!absent.has(id))
          logger.warn({ mailbox: name }, "the old server does not list a mailbox any more");
      const movedIds = new Set([...moved].map(({ id }) => id));
      const isHeld = (one: Absence): boolean =>
        !movedIds.has(one.id) && (one.isHeld || (isTooMuch && isDue(one)));
      keep(new Map(next.map((one) => [one.id, { ...one, isHeld: isHeld(one) }])));
      // What is asked for while the names are on their way is seen by the next look.
      for (const [name, one] of askedBefore) if (asked.get(name) === one) asked.delete(name);
      for (const { record } of gone) decided.delete(record.id);
      const shut = doubted.filter(({ id }) => absences.get(id)?.said === "none" && answers.has(id));
      return { gone, replaced, shut };
    },
    reasonOf(id) {
      const absence = absent.get(id);
      return absence && reasonFor(absence);
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
