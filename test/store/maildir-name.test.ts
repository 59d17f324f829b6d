import fc from "fast-check";
import { expect, test } from "vitest";
import { mailboxId, maxUid, uid, uidValidity } from "../../src/mail/ids.ts";
import {
  baseOf,
  formatMaildirName,
  lettersOf,
  type MaildirName,
  parseMaildirName,
  withLetters,
} from "../../src/store/maildir-name.ts";

const anyName: fc.Arbitrary<MaildirName> = fc.record({
  mailbox: fc.integer({ min: 1, max: 1_000_000 }).map(mailboxId),
  uidValidity: fc.integer({ min: 1, max: maxUid }).map(uidValidity),
  uid: fc.integer({ min: 1, max: maxUid }).map(uid),
  sizeBytes: fc.nat(),
  crlfBytes: fc.nat(),
  letters: fc.stringMatching(/^[DFRST]{0,5}[a-z]{0,26}$/),
});

test("a name says all that was put into it", () => {
  fc.assert(
    fc.property(anyName, (name) => {
      const text = formatMaildirName(name);
      expect(parseMaildirName(text)).toEqual(name);
      expect(parseMaildirName(baseOf(text))).toEqual({ ...name, letters: "" });
      expect(lettersOf(text)).toBe(name.letters);
      expect(withLetters(text, "FS")).toBe(`${baseOf(text)}:2,FS`);
      expect(text).not.toMatch(/[/ \0]/);
    }),
  );
});

test("names sort by UID, as text and by the number before the first dot", () => {
  fc.assert(
    fc.property(anyName, anyName, (a, b) => {
      fc.pre(a.uid !== b.uid);
      const [first, second] = [formatMaildirName(a), formatMaildirName(b)];
      expect(first < second).toBe(a.uid < b.uid);
      expect(Number.parseInt(first, 10)).toBe(a.uid);
    }),
  );
});

test.each([
  "1276528487.M364837P9451.host,S=1355,W=1394:2,S",
  "0000000001.M1V2P0.mailferry:2,",
  "0000000001.M1V2P0.mailferry,S=1,W=1:1,x",
  "",
])("%j is somebody else’s", (name) => {
  expect(parseMaildirName(name)).toBeUndefined();
});
