import { expect, it } from "vitest";
import { vanishedSince } from "../../src/imap/resync.ts";
import type { Selected } from "../../src/imap/state.ts";
import { createView } from "../../src/imap/view.ts";
import { modSeq, uid } from "../../src/mail/ids.ts";

it("a message that came a moment ago has not vanished, though nobody can tell what has", async () => {
  const mailbox = { uids: [1, 3, 5].map(uid), uidNext: uid(6), expungedSince: async () => undefined };
  const selected = { mailbox, view: createView([1, 3].map(uid)) } as unknown as Selected;
  const question = { modSeq: modSeq(1n), pairs: [], within: [{ from: 1, to: 5 }] };
  expect(await vanishedSince(selected, question, new AbortController().signal)).toEqual([
    { from: 2, to: 2 },
    { from: 4, to: 4 },
  ]);
});
