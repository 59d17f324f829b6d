import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mailboxId, uid, uidl, uidValidity } from "../../src/mail/ids.ts";
import {
  type ImapSide,
  type Matching,
  matchByKey,
  matchByKnownRecipe,
  matchByRecipe,
  matchBySizeAndOrder,
  type Pop3Side,
  unmatched,
} from "../../src/migration/uidl-match.ts";

const imap = (number: number, sizeBytes = 100 + number, mailbox = 1): ImapSide => ({
  mailbox: mailboxId(mailbox),
  uidValidity: uidValidity(0x10 * mailbox),
  uid: uid(number),
  sizeBytes,
});
const pop3 = (number: number, text: string, sizeBytes = 100 + number): Pop3Side => ({
  number,
  uidl: uidl(text),
  sizeBytes,
});
const pairsOf = ({ pairs }: Matching): string[] => pairs.map((pair) => `${pair.pop3.uidl}=${pair.imap.uid}`);

describe("by recipe", () => {
  it.each([
    ["Dovecot", (number: number) => `0000000${number}00000010`, "%08Xu%08Xv"],
    ["Cyrus", (number: number) => `16.${number}`, "%v.%u"],
    ["Courier", (number: number) => `16-${number}`, "%v-%u"],
    ["UW", (number: number) => `000000100000000${number}`, "%08Xv%08Xu"],
  ])("%s", (_, uidlOf, recipe) => {
    const matching = matchByRecipe(
      unmatched([imap(2), imap(3), imap(7)], [pop3(1, uidlOf(7)), pop3(2, uidlOf(2))]),
    );
    expect(matching.recipe).toBe(recipe);
    expect(pairsOf(matching)).toEqual([`${uidlOf(7)}=7`, `${uidlOf(2)}=2`]);
    expect(matching.imap.map((message) => message.uid)).toEqual([3]);
  });

  it("is not believed when one UIDL is not explained, or by two messages", () => {
    const one = matchByRecipe(unmatched([imap(2)], [pop3(1, "16.2"), pop3(2, "16.9")]));
    expect(one.recipe).toBeUndefined();
    expect(one.pairs).toEqual([]);
    const resized = matchByRecipe(
      unmatched([imap(2, 10), imap(3, 20)], [pop3(1, "2", 10), pop3(2, "3", 21)]),
    );
    expect(resized.recipe).toBeUndefined();
    const two = matchByRecipe(unmatched([imap(2), imap(2, 5, 2)], [pop3(1, "2")]));
    expect(two.recipe).toBeUndefined();
  });

  it("is believed for some when its UIDVALIDITY is no number to hit by chance", () => {
    const validity = uidValidity(1_700_000_000);
    const left = [imap(2), imap(3)].map((message) => ({ ...message, uidValidity: validity }));
    const matching = matchByRecipe(unmatched(left, [pop3(1, "1700000000.2"), pop3(2, "odd one")]));
    expect(pairsOf(matching)).toEqual(["1700000000.2=2"]);
    expect(matching.recipe).toBe("%v.%u");
    const next = { ...imap(9), uidValidity: validity };
    const later = unmatched([next], [pop3(3, "1700000000.9"), pop3(4, "another")]);
    expect(pairsOf(matchByKnownRecipe(later, "%v.%u"))).toEqual(["1700000000.9=9"]);
  });

  it("reaches over several mailboxes", () => {
    const matching = matchByRecipe(unmatched([imap(2), imap(2, 5, 2)], [pop3(1, "32.2"), pop3(2, "16.2")]));
    expect(matching.pairs.map((pair) => pair.imap.mailbox)).toEqual([2, 1]);
  });
});

describe("by size and order", () => {
  const left = [imap(1, 10), imap(2, 20), imap(3, 30), imap(4, 30), imap(5, 50)];
  const sized = (...sizes: number[]) => sizes.map((size, index) => pop3(index + 1, `u${index + 1}`, size));

  it("leaves neighbours of one size", () => {
    expect(pairsOf(matchBySizeAndOrder(unmatched(left, sized(10, 20, 30, 30, 50))))).toEqual([
      "u1=1",
      "u2=2",
      "u5=5",
    ]);
  });

  it("leaves messages of one size that stand apart, too", () => {
    const apart = [imap(1, 10), imap(2, 20), imap(3, 10)];
    expect(pairsOf(matchBySizeAndOrder(unmatched(apart, sized(10, 20, 10))))).toEqual(["u2=2"]);
  });

  it.each([
    ["one is missing in the middle", [10, 30, 30, 50]],
    ["one is missing at the end", [10, 20, 30, 30]],
    ["one differs", [10, 20, 30, 30, 51]],
  ])("says nothing where %s", (_, sizes) => {
    expect(matchBySizeAndOrder(unmatched(left, sized(...sizes))).pairs).toEqual([]);
  });
});

describe("by key", () => {
  const keys = {
    ofImap: ({ sizeBytes }: ImapSide) => String(sizeBytes),
    ofPop3: ({ sizeBytes }: Pop3Side) => String(sizeBytes),
  };

  it("tells equal ones apart by order, and leaves uneven ones alone", () => {
    const left = [imap(1, 10), imap(2, 20), imap(3, 10), imap(4, 30)];
    const right = [pop3(1, "a", 10), pop3(2, "b", 10), pop3(3, "c", 20), pop3(4, "d", 30), pop3(5, "e", 30)];
    const matching = matchByKey(unmatched(left, right), keys, "even");
    expect(pairsOf(matchByKey(unmatched(left, right), keys, "single"))).toEqual(["c=2"]);
    expect(pairsOf(matching)).toEqual(["a=1", "b=3", "c=2"]);
    expect(pairsOf(matchByKey(matching, keys, "any"))).toEqual(["a=1", "b=3", "c=2", "d=4"]);
  });

  it("pairs each message once, whatever there is", () => {
    const side = fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 20 });
    fc.assert(
      fc.property(side, side, fc.constantFrom("single", "even", "any"), (left, right, rule) => {
        const start = unmatched(
          left.map((size, index) => imap(index + 1, size)),
          right.map((size, index) => pop3(index + 1, `u${index}`, size)),
        );
        const { pairs, imap: others, pop3: rest } = matchByKey(matchBySizeAndOrder(start), keys, rule);
        expect(new Set(pairs.map((pair) => pair.imap)).size).toBe(pairs.length);
        expect(new Set(pairs.map((pair) => pair.pop3)).size).toBe(pairs.length);
        for (const pair of pairs) expect(pair.imap.sizeBytes).toBe(pair.pop3.sizeBytes);
        expect(others.length + pairs.length).toBe(left.length);
        expect(rest.length + pairs.length).toBe(right.length);
      }),
    );
  });
});
