/** What a pass of a rollback over a mailbox looks at again. */
import { expect, it } from "vitest";
import type { MailboxLease } from "../../src/legacy/source.ts";
import type { FlagChange } from "../../src/mail/flag-change.ts";
import type { UidSet } from "../../src/mail/number-set.ts";
import {
  createProgress,
  type GiveBackParts,
  giveBackMailbox,
  type Here,
} from "../../src/migration/give-back-mailbox.ts";
import type { MailboxMirror } from "../../src/migration/mailbox-mirror.ts";

const signal = new AbortController().signal;
const date = { epochSeconds: 1, zoneMinutes: 0 };
const mark = JSON.stringify({ name: "INBOX", uidValidity: 7, known: 10, next: 10 });

function partsOf(lease: () => Partial<MailboxLease>): GiveBackParts {
  const store = {
    readSetting: (key: string) => (key === "swept:1" ? mark : undefined),
    writeSetting: () => undefined,
  };
  const source = {
    useMailbox: (_: unknown, __: unknown, work: (one: unknown) => unknown) => work(lease()),
  };
  return { store, source, authority: {}, signal } as unknown as GiveBackParts;
}

const has = (set: UidSet, one: number): boolean => set.some(({ from, to }) => one >= from && one <= to);

/** A mailbox with one message, which has no flags at first. */
function serverWith(uid: number, uidNext: number) {
  const state = { flags: [] as string[], modSeq: 10n, lostAfter: Number.POSITIVE_INFINITY };
  const lease = () =>
    ({
      examined: {
        permanentFlags: [],
        uidValidity: 7,
        uidNext,
        exists: 1,
        highestModSeq: state.modSeq,
        hasNoModSeqs: false,
      },
      capabilities: new Set(["UIDPLUS"]),
      listUids: async () => [uid],
      fetchMeta: async (_: UidSet, tell: (meta: unknown) => void) =>
        tell({ uid, flags: state.flags, sizeBytes: 1, internalDate: date }),
      fetchFlags: async (set: UidSet, tell: (flags: unknown) => void) => {
        if (has(set, uid)) tell({ uid, flags: state.flags });
      },
      fetchBodies: async () => undefined,
      async store(_: UidSet, { kind, flags: named }: FlagChange) {
        if (state.lostAfter-- <= 0) throw new Error("lost");
        const without = state.flags.filter((flag) => !named.includes(flag));
        state.flags = kind === "add" ? [...without, ...named] : without;
        state.modSeq++;
        return [];
      },
      examineAgain: async () => ({ uidNext: 5_000, highestModSeq: state.modSeq }),
    }) as unknown as Partial<MailboxLease>;
  return { state, lease };
}

const hereWith = (uidNext: number, highestModSeq: bigint, uids: readonly number[]): Here =>
  ({
    record: { id: 1, name: "INBOX", uidValidity: 7, uidNext, highestModSeq },
    messages: uids.map((uid) => ({ uid, presence: "full", flags: [], sizeBytes: 1, internalDate: date })),
  }) as unknown as Here;

function mailboxThat(onReserve: () => void): MailboxMirror {
  const state = { record: { id: 1, name: "INBOX" }, table: { get: () => undefined }, reserveUids: onReserve };
  return { state } as unknown as MailboxMirror;
}

it("mail that may stay above all of ours is looked at again when ours have grown", async () => {
  const { lease } = serverWith(1_005, 1_006);
  const parts = partsOf(lease);
  let broughtUp = 0;
  const mailbox = mailboxThat(() => {
    broughtUp++;
    throw new Error("it is brought up");
  });
  const progress = createProgress();
  expect(await giveBackMailbox(parts, mailbox, hereWith(1_000, 1n, []), progress, true)).toBe(0);
  const again = giveBackMailbox(parts, mailbox, hereWith(1_021, 1n, []), progress, true);
  await expect(again).rejects.toThrow("it is brought up");
  expect(broughtUp).toBe(1);
});

it("a flag that was left behind by a lost connection is taken back", async () => {
  const { state, lease } = serverWith(5, 10);
  const parts = partsOf(lease);
  const mailbox = mailboxThat(() => undefined);
  const progress = createProgress();
  const pass = (highestModSeq: bigint): Promise<number> =>
    giveBackMailbox(parts, mailbox, hereWith(10, highestModSeq, [5]), progress, false);
  expect(await pass(5n)).toBe(0);
  state.lostAfter = 1;
  await expect(pass(40n)).rejects.toThrow("lost");
  expect(state.flags).toEqual(["\\Flagged"]);
  state.lostAfter = Number.POSITIVE_INFINITY;
  await pass(40n);
  await pass(40n);
  expect(state.flags).toEqual([]);
});
