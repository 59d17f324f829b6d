import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mailboxId, uid, uidl } from "../../src/mail/ids.ts";
import { followListing } from "../../src/migration/follow-maildrop.ts";
import type { Pop3Side } from "../../src/migration/uidl-match.ts";
import type { MaildropChange, MaildropEntry } from "../../src/store/maildrop-table.ts";

const entry = (position: number, text: string, of: number | undefined = position): MaildropEntry => ({
  position,
  uidl: uidl(text),
  sizeBytes: 100,
  message: of === undefined ? undefined : { mailbox: mailboxId(1), uid: uid(of) },
  isRemoved: false,
  problem: undefined,
  print: undefined,
});
const listing = (...texts: string[]): Pop3Side[] =>
  texts.map((text, index) => ({ number: index + 1, uidl: uidl(text), sizeBytes: 100 }));

/** What the table holds after the change. */
function applied(kept: readonly MaildropEntry[], { removed, put }: MaildropChange): MaildropEntry[] {
  const table = new Map(kept.map((one) => [one.position, one]));
  for (const { position } of removed) table.delete(position);
  for (const one of put) table.set(one.position, one);
  return [...table.values()].sort((a, b) => a.position - b.position);
}
const shown = (entries: readonly MaildropEntry[]): string[] =>
  entries.map(({ uidl: text, message }) => `${text}=${message?.uid ?? "?"}`);

describe("a new listing", () => {
  const kept = [entry(1, "a"), entry(2, "b"), entry(5, "c")];

  it.each([
    ["is what it was", ["a", "b", "c"], ["a=1", "b=2", "c=5"], [1, 2, 5]],
    ["has a new message behind", ["a", "b", "c", "d"], ["a=1", "b=2", "c=5", "d=?"], [1, 2, 5, 6]],
    ["has lost one", ["a", "c", "d"], ["a=1", "c=5", "d=?"], [1, 5, 6]],
    ["has a new message in the middle", ["a", "d", "b", "c"], ["a=1", "d=?", "b=2", "c=5"], [1, 2, 3, 4]],
    ["has another order", ["c", "a", "b"], ["c=5", "a=1", "b=2"], [1, 2, 3]],
    ["is empty", [], [], []],
  ])("%s", (_, texts, expected, positions) => {
    const { entries, change } = followListing(kept, listing(...texts), "match-anew");
    expect(shown(entries)).toEqual(expected);
    expect(entries.map(({ position }) => position)).toEqual(positions);
    expect(applied(kept, change)).toEqual(entries);
  });

  it("knows those of one UIDL by their sizes", () => {
    const twins = [entry(1, "t", 7), { ...entry(2, "t", 8), sizeBytes: 200 }];
    const left = [{ number: 1, uidl: uidl("t"), sizeBytes: 200 }];
    const { entries, gone } = followListing(twins, left, "same-when-resized");
    expect(shown(entries)).toEqual(["t=8"]);
    expect(shown(gone)).toEqual(["t=7"]);
  });

  it("matches a message of another size anew, unless it can be no other", () => {
    const resized = [{ number: 1, uidl: uidl("a"), sizeBytes: 101 }];
    expect(shown(followListing(kept, resized, "match-anew").entries)).toEqual(["a=?"]);
    expect(shown(followListing(kept, resized, "same-when-resized").entries)).toEqual(["a=1"]);
  });

  it("keeps messages of one UIDL apart by their order", () => {
    const twins = [entry(1, "t", 7), entry(2, "t", 8)];
    expect(shown(followListing(twins, listing("t", "t", "t"), "match-anew").entries)).toEqual([
      "t=7",
      "t=8",
      "t=?",
    ]);
  });

  it("whatever it is, each message keeps what it was matched with, and the table holds what is listed", () => {
    const texts = fc.uniqueArray(fc.constantFrom(..."abcdefgh"), { maxLength: 8 });
    fc.assert(
      fc.property(texts, texts, texts, (first, second, third) => {
        let table: MaildropEntry[] = [];
        for (const texts of [first, second, third]) {
          const before = new Map(table.map((one) => [one.uidl, one.message]));
          const { entries, change, gone } = followListing(table, listing(...texts), "match-anew");
          expect(entries.map((one) => String(one.uidl))).toEqual(texts);
          for (const one of entries) expect(one.message).toEqual(before.get(one.uidl));
          expect(gone.map((one) => one.uidl)).toEqual(
            table.map((one) => one.uidl).filter((text) => !texts.includes(text)),
          );
          table = applied(table, change);
          expect(table).toEqual(entries);
          table = table.map((one) => ({
            ...one,
            message: { mailbox: mailboxId(1), uid: uid(one.uidl.charCodeAt(0)) },
          }));
        }
      }),
    );
  });
});
