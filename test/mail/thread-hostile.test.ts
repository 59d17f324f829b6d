/** Threads of mails that were written to keep a server busy: others get their turn all the same. */
import { expect, it } from "vitest";
import { uid } from "../../src/mail/ids.ts";
import { referenceBudget, type Threadable } from "../../src/mail/thread.ts";
import { threadByReferences } from "../../src/mail/thread-references.ts";

/** Between two turns of others; before, it was a second and more. */
const maxStepMs = 400;

const ids = (count: number, from = 0): string[] =>
  Array.from({ length: count }, (_, index) => `chain${from + index}@x`);

const mailsOf = (count: number, referencesOf: (index: number) => readonly string[]): Threadable[] =>
  Array.from({ length: count }, (_, index) => ({
    uid: uid(index + 1),
    subject: `subject ${index}`,
    isReply: false,
    sentTime: (index * 7919) % count,
    messageId: `mail${index}@x`,
    references: referencesOf(index),
  }));

it.each([
  [
    "thousands that answer the end of a long chain of messages that never came",
    mailsOf(4_000, (index) => (index === 0 ? ids(10_000) : ["chain9999@x"])),
  ],
  [
    "some with thousands of references, each going on where the last one ended",
    mailsOf(12, (index) => ids(5_001, Math.max(0, index * 5_000 - 1))),
  ],
  [
    "very many that answer one message that never came",
    mailsOf(120_000, (index) => (index % 2 === 0 ? ["gone@x"] : [])),
  ],
])("%s", async (_, mails) => {
  let longest = 0;
  let last = performance.now();
  const pause = async (): Promise<void> => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  };
  await threadByReferences(mails, pause);
  await pause();
  expect(longest).toBeLessThan(maxStepMs);
});

it("of very many references the parents are kept, and no more than that", async () => {
  const mails = mailsOf(50, (index) => [
    ...ids(100, index * 100),
    ...(index > 0 ? [`mail${index - 1}@x`] : []),
  ]);
  const bounded = mails.map(referenceBudget(1_000));
  expect(bounded.slice(0, 9)).toEqual(mails.slice(0, 9));
  expect(bounded.slice(10).map(({ references }) => references.length)).toEqual(Array(40).fill(1));
  expect(bounded.at(-1)?.references).toEqual(["mail48@x"]);
});
