import fc from "fast-check";
import { expect, it } from "vitest";
import { type Uid, uid } from "../../src/mail/ids.ts";
import { formatNumberSet, uidRunsOf, uidSetOf } from "../../src/mail/number-set.ts";

const uids = fc
  .uniqueArray(fc.integer({ min: 1, max: 60 }), { maxLength: 40 })
  .map((list) => list.sort((a, b) => a - b).map(uid));

it("uidRunsOf names exactly the UIDs asked for, of those that there are", () => {
  fc.assert(
    fc.property(uids, fc.array(fc.boolean()), (among, chosen) => {
      const wanted = among.filter((_, index) => chosen[index]);
      const runs = uidRunsOf(wanted, among);
      const named = among.filter((each) => runs.some(({ from, to }) => each >= from && each <= to));
      expect(named).toEqual(wanted);
      expect(runs.length).toBeLessThanOrEqual(uidSetOf(wanted).length);
    }),
  );
});

it("uidRunsOf reaches over gaps", () => {
  const among = [1, 5, 9, 13].map(uid) as Uid[];
  expect(formatNumberSet(uidRunsOf(among, among))).toBe("1:13");
});

it("uidRunsOf takes UIDs that are not there any more", () => {
  const runs = uidRunsOf([1, 2, 5].map(uid), [1, 3, 5, 7].map(uid));
  expect(formatNumberSet(runs)).toBe("1,2,5");
});
