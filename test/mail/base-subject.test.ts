import { expect, it } from "vitest";
import { baseSubject } from "../../src/mail/base-subject.ts";
import { messageIds } from "../../src/mail/message-id.ts";
import { sentDate } from "../../src/mail/sent-date.ts";

it.each([
  ["Re: [list] Fwd: lunch (fwd)", "lunch", true],
  ["lunch", "lunch", false],
  ["[list] lunch", "lunch", false],
  ["[only]", "[only]", false],
  ["[Fwd: Re: lunch]", "lunch", true],
  ["RE[2]: fw: \tlunch\r\n today", "lunch today", true],
  ["=?utf-8?q?Re=3A_Gr=C3=BC=C3=9Fe?=", "Grüße", true],
  ["Regarding: lunch", "Regarding: lunch", false],
  ["", "", false],
])("the base of %j is %j", (subject, text, isReply) => {
  expect(baseSubject(subject)).toEqual({ text, isReply });
});

it("takes no long time for a hostile subject", () => {
  for (const text of ["[a]", "re:", "(fwd)", " ", "[", "[fwd:", "re[a]"]) baseSubject(text.repeat(20_000));
  messageIds("<".repeat(500_000));
  messageIds("<a@b".repeat(100_000));
  sentDate(`Tue, 1 Jul ${" ".repeat(500_000)}`);
});

it.each([
  ["Tue, 1 Jul 2003 10:52:37 +0200", Date.UTC(2003, 6, 1, 8, 52, 37)],
  ["1 Jul 03 10:52 EST", Date.UTC(2003, 6, 1, 15, 52)],
  ["Tue, 31 Feb 2004 10:52:37 +0000", undefined],
  ["yesterday", undefined],
])("%j is an instant", (text, expected) => {
  expect(sentDate(text)?.epochSeconds).toBe(expected === undefined ? undefined : expected / 1000);
});
