import fc from "fast-check";
import { expect, test } from "vitest";
import { flagsOf } from "../../src/mail/flags.ts";
import { flagLetters, flagsOfLetters } from "../../src/store/flag-letters.ts";

const keywords = Array.from({ length: 40 }, (_, slot) => `$Keyword${slot}`);
const slotOf = (name: string): number => keywords.indexOf(name);

test("letters and extra slots give the flags back", () => {
  const names = ["\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft", ...keywords];
  fc.assert(
    fc.property(fc.subarray(names), (chosen) => {
      const flags = flagsOf(chosen);
      const { letters, extraSlots } = flagLetters(flags, slotOf);
      expect(letters).toBe([...letters].sort().join(""));
      expect(flagsOfLetters(letters, extraSlots, keywords)).toBe(flags);
    }),
  );
});

test("as Dovecot writes them", () => {
  expect(flagLetters(flagsOf(["\\Seen", "\\Deleted", "\\Draft", "$Keyword1"]), slotOf)).toEqual({
    letters: "DSTb",
    extraSlots: [],
  });
  expect(flagLetters(flagsOf(["$Keyword26", "\\Flagged"]), slotOf)).toEqual({
    letters: "F",
    extraSlots: [26],
  });
});

test("a letter that stands for nothing is left out", () => {
  expect(flagsOfLetters("PSz", [], ["only"])).toBe(flagsOf(["\\Seen"]));
});
