import fc from "fast-check";
import { expect, it } from "vitest";
import { uid } from "../../src/mail/ids.ts";
import { type NumberRange, uidSetOf } from "../../src/mail/number-set.ts";
import {
  includes,
  intersectRanges,
  numbersOf,
  sizeOfRanges,
  withoutNumbers,
} from "../../src/mail/range-sets.ts";

const numbers = fc
  .uniqueArray(fc.integer({ min: 1, max: 40 }), { maxLength: 30 })
  .map((list) => list.sort((a, b) => a - b));
const rangesOf = (list: readonly number[]): readonly NumberRange[] => uidSetOf(list.map(uid));
it("sets of ranges are what the sets of their numbers are", () => {
  fc.assert(
    fc.property(numbers, numbers, (a, b) => {
      const [left, right] = [rangesOf(a), rangesOf(b)];
      expect(numbersOf(intersectRanges(left, right))).toEqual(a.filter((one) => b.includes(one)));
      expect(numbersOf(withoutNumbers(left, b))).toEqual(a.filter((one) => !b.includes(one)));
      expect(sizeOfRanges(left)).toBe(a.length);
      for (let one = 0; one < 42; one++) expect(includes(left, one)).toBe(a.includes(one));
    }),
  );
});
