import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { mailboxId, uid, uidl, uidValidity } from "../../src/mail/ids.ts";
import { contentOf } from "../../src/mail/message-content.ts";
import { contentDigest, haveDigests, matchByDigest } from "../../src/migration/match-digest.ts";
import { type ImapSide, type Pop3Side, unmatched } from "../../src/migration/uidl-match.ts";

const md5 = (text: string): string => createHash("md5").update(text).digest("hex");
const imap = (number: number): ImapSide => ({
  mailbox: mailboxId(1),
  uidValidity: uidValidity(9),
  uid: uid(number),
  sizeBytes: undefined,
});
const pop3 = (number: number, text: string): Pop3Side => ({ number, uidl: uidl(text), sizeBytes: 1 });

it("is of the file's bytes, whatever has been written into the message since", async () => {
  const file = "Subject: a\n\nbody\nX-UIDL: in the body\n";
  const shown = file.replaceAll("\n", "\r\n").replace("\r\n\r\n", "\r\nX-UIDL: abc\r\n\r\n");
  expect(await contentDigest(contentOf(Buffer.from(shown)))).toBe(md5(file));
});

it("pairs what is equal, by the UID where there are several", () => {
  const [a, b] = [md5("a"), md5("b")];
  const texts = new Map([
    [1, a],
    [2, b],
    [3, b],
    [4, md5("c")],
  ]);
  const sides = unmatched([1, 2, 3, 4].map(imap), [
    pop3(1, `${b}.17.3`),
    pop3(2, `${a}.17.77`),
    pop3(3, `${b}.18.2`),
    pop3(4, `${md5("d")}.18.4`),
  ]);
  expect(haveDigests(sides)).toBe(true);
  const { pairs, pop3: left } = matchByDigest(sides, (message) => texts.get(message.uid));
  expect(pairs.map((pair) => [pair.pop3.number, pair.imap.uid]).toSorted()).toEqual([
    [1, 3],
    [2, 1],
    [3, 2],
  ]);
  expect(left.map(({ number }) => number)).toEqual([4]);
});

it("is not looked for where one UIDL is of another form", () => {
  expect(haveDigests(unmatched([], [pop3(1, `${md5("a")}.1.1`), pop3(2, "0000000100000002")]))).toBe(false);
});
