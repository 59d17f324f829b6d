/** Changes of messages on a legacy server that no real one plays on demand. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { OutcomeUnknown } from "../../src/errors.ts";
import { silentLogger } from "../../src/log.ts";
import { flagsOf } from "../../src/mail/flags.ts";
import { modSeq, uid } from "../../src/mail/ids.ts";
import { createMessageChanges } from "../../src/migration/change-messages.ts";
import { openMailboxMirror } from "../../src/migration/mailbox-mirror.ts";
import type { AccountStore } from "../../src/store/store.ts";
import { addMailbox, createFixture, type StoreFixture } from "../store/fixture.ts";
import { createFakeSource, type FakeSourceOptions } from "./fake-source.ts";

let fixture: StoreFixture;
let store: AccountStore;
const { signal } = new AbortController();
const messages = new Map([1, 2, 3, 4, 5].map((each) => [each, "Subject: x\r\n\r\n"]));

beforeEach(async () => {
  fixture = createFixture();
  store = await fixture.open();
});
afterEach(async () => {
  await store.close();
  fixture.remove();
});

async function changesWith(options: Partial<FakeSourceOptions>) {
  const source = createFakeSource({ messages, ...options });
  const mailbox = await openMailboxMirror({
    store,
    source,
    logger: silentLogger,
    signal,
    record: addMailbox(store),
  });
  await mailbox.sync(signal);
  return {
    mailbox,
    changes: createMessageChanges({ source, logger: silentLogger, signal, opened: () => mailbox }),
  };
}

it("an EXPUNGE that was lost on its way is not OK, though flags are not known here", async () => {
  const { mailbox, changes } = await changesWith({
    adjust: (lease) => ({
      ...lease,
      expunge: async () => Promise.reject(new OutcomeUnknown(new Error("lost"))),
      listDeleted: async () => [uid(1)],
    }),
  });
  await expect(changes.expunge(mailbox)).rejects.toMatchObject({ code: "UNAVAILABLE" });
});

it("an EXPUNGE whose answer was lost is OK when nothing is left to expunge", async () => {
  const { mailbox, changes } = await changesWith({
    adjust: (lease) => ({
      ...lease,
      capabilities: new Set(["UIDPLUS"]),
      expunge: async () => Promise.reject(new OutcomeUnknown(new Error("lost"))),
      listDeleted: async () => [uid(5)],
    }),
  });
  await changes.expunge(mailbox, [uid(1), uid(2)]);
});

it("UID EXPUNGE without UIDPLUS takes no second connection", async () => {
  const { mailbox, changes } = await changesWith({
    connections: 4,
    adjust: (lease) => ({
      ...lease,
      expunge: async () => undefined,
      store: async () => [],
      listDeleted: async () => [uid(1)],
    }),
  });
  const change = { kind: "add", flags: ["\\Seen"] } as const;
  await Promise.all([
    changes.expunge(mailbox, [uid(1)]),
    ...[2, 3, 4, 5].map((each) => changes.store(mailbox, [uid(each)], change)),
  ]);
});

it("UID EXPUNGE without UIDPLUS is refused where other messages would go along", async () => {
  const { mailbox, changes } = await changesWith({
    adjust: (lease) => ({ ...lease, listDeleted: async () => [uid(1), uid(3)] }),
  });
  await expect(changes.expunge(mailbox, [uid(1)])).rejects.toMatchObject({ code: "CANNOT" });
});

it("a STORE tells of what another client has changed before: MODSEQs up to its own are known", async () => {
  let highest = 10n;
  const flagsAt = (one: number, at: bigint) => ({
    uid: uid(one),
    flags: flagsOf(["\\Seen"]),
    internalDate: { epochSeconds: 1_400_000_000, zoneMinutes: 0 },
    sizeBytes: 14,
    modSeq: modSeq(at),
  });
  const { mailbox, changes } = await changesWith({
    adjust: (lease) => {
      const examinedNow = () => ({ ...lease.examined, highestModSeq: modSeq(highest) });
      return {
        ...lease,
        examined: examinedNow(),
        examineAgain: async () => examinedNow(),
        look: async () => examinedNow(),
        async store(_uids, _change, onFlags) {
          highest = 12n;
          onFlags(flagsAt(1, 12n));
          return [];
        },
        fetchFlags: async (_set, onFlags) => [flagsAt(3, 11n), flagsAt(1, 12n)].forEach(onFlags),
      };
    },
  });
  await mailbox.metadata([1, 2, 3, 4, 5].map(uid));
  const heard: number[] = [];
  mailbox.subscribe((event) => {
    if (event.kind === "flags") heard.push(...event.uids);
  });
  await changes.store(mailbox, [uid(1)], { kind: "add", flags: ["\\Seen"] });
  expect(heard.toSorted()).toEqual([1, 3]);
  expect(mailbox.state.record.highestModSeq).toBe(12n);
});
