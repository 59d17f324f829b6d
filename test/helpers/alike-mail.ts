/** Mail that is hard to keep apart: equal messages, equal sizes, equal headers, gaps between UIDs. */
import type { AccountPlan, MessagePlan } from "./filler.ts";

const epoch = 1_600_000_000;

/** `count` messages in INBOX; with `pop3Order` some have changed places in the maildrop. */
export function alikeMail(count: number, { pop3Order = false } = {}): AccountPlan {
  return {
    mailboxes: [
      { path: ["INBOX"], uidValidity: 1_234_567_890, messages: () => alikeMessages(count, pop3Order) },
    ],
    subscriptions: [],
    specialUse: {},
  };
}

export function* alikeMessages(count: number, pop3Order = false): Generator<MessagePlan> {
  for (let index = 0, uid = 3; index < count; index++, uid += index % 7 === 0 ? 5 : 1) {
    yield {
      uid,
      bytes: alikeBytes(index),
      flags: index % 3 === 0 ? ["\\Seen"] : [],
      epochSeconds: epoch + index * 60,
      // Every tenth pair is the other way round.
      ...(pop3Order && { pop3Order: index % 10 === 4 ? index + 2 : index % 10 === 5 ? index : index + 1 }),
    };
  }
}

/** CRLF, no NUL: what IMAP and POP3 show alike. */
export function alikeBytes(index: number): Buffer {
  const header = (subject: string): string =>
    `From: a${index % 5}@example.org\r\nSubject: ${subject}\r\nDate: Thu, 1 Oct 2020 10:00:00 +0200\r\n`;
  const body = (text: string): string => `\r\n${text}\r\n.\r\n..dots\r\n`;
  switch (index % 10) {
    // Equal to the last byte.
    case 1:
    case 2:
      return Buffer.from(`From: twin@example.org\r\nSubject: twin\r\n${body("the same")}`);
    // Equal headers, other text of one length.
    case 3:
    case 4:
      return Buffer.from(
        `From: list@example.org\r\nSubject: digest\r\n${body(String(index).padStart(8, "0"))}`,
      );
    // Equal sizes.
    case 5:
    case 6:
    case 7:
      return Buffer.from(header(`number ${String(index).padStart(8, "0")}`) + body("text"));
    case 8:
      return Buffer.from(
        `${header("8-bit \xe4\xf6\xfc")}X-Number: ${index}\r\n${body("\xff\xfe")}`,
        "latin1",
      );
    default:
      return Buffer.from(header("s".repeat(1 + (index % 200))) + body("x".repeat(index % 97)));
  }
}
