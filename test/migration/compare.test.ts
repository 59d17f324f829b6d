import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Uid } from "../../src/mail/ids.ts";
import { compareUids } from "../../src/migration/compare.ts";

const uidLists = fc
  .uniqueArray(fc.integer({ min: 1, max: 60 }))
  .map((list) => list.sort((a, b) => a - b) as Uid[]);

describe("comparing UID lists", () => {
  it("tells what is on one side only", () => {
    expect(compareUids([1, 2, 5] as Uid[], [2, 3, 5, 9] as Uid[])).toEqual({
      arrived: [3, 9],
      vanished: [1],
    });
  });

  it("is set difference both ways", () => {
    fc.assert(
      fc.property(uidLists, uidLists, (here, there) => {
        const { arrived, vanished } = compareUids(here, there);
        expect(arrived).toEqual(there.filter((uid) => !here.includes(uid)));
        expect(vanished).toEqual(here.filter((uid) => !there.includes(uid)));
      }),
    );
  });
});
