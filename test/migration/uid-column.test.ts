import fc from "fast-check";
import { expect, it } from "vitest";
import { type Uid, uid } from "../../src/mail/ids.ts";
import { createUidColumn } from "../../src/migration/uid-column.ts";

interface Value {
  readonly number: number;
}

type Step =
  | { readonly kind: "set" | "delete" | "get"; readonly uid: Uid }
  | { readonly kind: "fill" | "drain" | "replace" | "clear" };

const near = fc.integer({ min: 1, max: 3_000 }).map(uid);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ kind: fc.constantFrom("set", "delete", "get"), uid: near }) },
  fc.record({ kind: fc.constantFrom("fill", "drain", "replace", "clear") }),
);

it("a column is a map of UIDs, in whatever order they come and go", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const column = createUidColumn<Value>();
      const model = new Map<Uid, Value>();
      let last = 0;
      const set = (at: Uid): void => {
        const value = { number: ++last };
        column.set(at, value);
        model.set(at, value);
      };
      const remove = (at: Uid): void => {
        column.delete(at);
        model.delete(at);
      };
      for (const one of steps) {
        if (one.kind === "set") set(one.uid);
        if (one.kind === "delete") remove(one.uid);
        // As a mailbox comes, and as its metadata take it away: newest first.
        if (one.kind === "fill") for (let at = 1; at <= 2_500; at += 2) set(uid(at));
        if (one.kind === "drain") for (let at = 2_500; at > 500; at--) remove(uid(at));
        if (one.kind === "clear") {
          column.clear();
          model.clear();
        }
        if (one.kind === "replace") {
          column.replaceAll(({ number }) => ({ number: number + 1 }));
          for (const [at, { number }] of model) model.set(at, { number: number + 1 });
        }
        expect(column.size).toBe(model.size);
        for (const at of [1, 2, 499, 500, 501, 2_499, 3_000, ...("uid" in one ? [one.uid] : [])])
          expect(column.get(uid(at))).toEqual(model.get(uid(at)));
      }
      for (const [at, value] of model) expect(column.get(at)).toEqual(value);
    }),
    { numRuns: 200 },
  );
});
