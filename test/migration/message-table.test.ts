import fc from "fast-check";
import { expect, it } from "vitest";
import { flagsOf } from "../../src/mail/flags.ts";
import { modSeq, type Uid, uid } from "../../src/mail/ids.ts";
import { createMessageTable } from "../../src/migration/message-table.ts";
import type { StoredMessage } from "../../src/store/store.ts";

const message = (number: Uid, isSeen: boolean, isFull: boolean): StoredMessage => {
  const meta = {
    uid: number,
    flags: flagsOf(isSeen ? ["\\Seen"] : []),
    internalDate: { epochSeconds: 0, zoneMinutes: 0 },
    sizeBytes: number,
    modSeq: modSeq(1n),
  };
  return isFull ? { presence: "full", fileName: `${number}`, ...meta } : { presence: "meta", ...meta };
};

const step = fc.record({
  add: fc.integer({ min: 0, max: 80 }),
  known: fc.array(fc.record({ at: fc.nat(), isSeen: fc.boolean(), isFull: fc.boolean() }), { maxLength: 20 }),
  gone: fc.array(fc.nat(), { maxLength: 70 }),
});

it("counts and lists the same whether messages come and go one by one or as a new list", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 8 }), (steps) => {
      const table = createMessageTable([]);
      let model = new Map<Uid, StoredMessage>();
      let last = 0;
      for (const { add, known, gone } of steps) {
        const added = Array.from({ length: add }, () => uid(++last));
        table.append(added);
        for (const one of added) model.set(one, { presence: "remote", uid: one });
        const all = [...model.keys()];
        const put = known.flatMap(({ at, isSeen, isFull }) => {
          const one = all[at % Math.max(1, all.length)];
          return one === undefined ? [] : [message(one, isSeen, isFull)];
        });
        table.put(put);
        for (const one of put) model.set(one.uid, one);
        const left = new Set(gone.flatMap((at) => all[at % Math.max(1, all.length)] ?? []));
        const kept = all.filter((one) => !left.has(one));
        if (gone.length % 2 === 0) table.remove([...left]);
        else table.setUids(kept, [...left]);
        model = new Map(kept.map((one) => [one, model.get(one) ?? { presence: "remote", uid: one }]));
        const messages = [...model.values()];
        expect(table.uids).toEqual(kept);
        expect(kept.map((one) => table.get(one))).toEqual(messages);
        expect([...left].map((one) => table.get(one))).toEqual([...left].map(() => undefined));
        const isKnown = messages.filter((one) => one.presence !== "remote");
        expect(table.remoteCount).toBe(messages.length - isKnown.length);
        expect(table.fullCount).toBe(messages.filter((one) => one.presence === "full").length);
        expect(table.unseenCount).toBe(isKnown.filter((one) => one.flags.length === 0).length);
        expect(table.knownBytes).toBe(isKnown.reduce((sum, one) => sum + one.sizeBytes, 0));
      }
    }),
  );
});
