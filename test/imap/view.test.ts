import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { MailboxChange } from "../../src/account/account.ts";
import { createView, type Notice } from "../../src/imap/view.ts";
import { type Uid, uid } from "../../src/mail/ids.ts";

const uids = (...values: number[]): Uid[] => values.map(uid);

/** A client: it knows how many messages there are, and asks for the UID of those that are new to it. */
function applyToClient(model: Uid[], notices: readonly Notice[], after: readonly Uid[]): void {
  for (const notice of notices) {
    if (notice.kind === "expunge") {
      expect(notice.sequence).toBeLessThanOrEqual(model.length);
      model.splice(notice.sequence - 1, 1);
    } else if (notice.kind === "exists") {
      expect(notice.count).toBeGreaterThanOrEqual(model.length);
      model.push(...after.slice(model.length, notice.count));
    } else {
      expect(model[notice.sequence - 1]).toBe(notice.uid);
    }
  }
}

describe("view", () => {
  it("withholds expunges and tells everything else", () => {
    const view = createView(uids(1, 2, 3));
    view.apply({ kind: "expunged", uids: uids(2) });
    view.apply({ kind: "arrived", uids: uids(7) });
    view.apply({ kind: "flags", uids: uids(2, 3) });
    expect(view.takeNotices({ expunges: false })).toEqual([
      { kind: "exists", count: 4 },
      { kind: "flags", sequence: 3, uid: 3 },
    ]);
    expect(view.sequenceOf(uid(7))).toBe(4);
    expect(view.isExpunged(uid(2))).toBe(true);
    expect(view.takeNotices({ expunges: true })).toEqual([{ kind: "expunge", sequence: 2, uid: 2 }]);
    expect(view.uids).toEqual([1, 3, 7]);
    expect(view.takeNotices({ expunges: true })).toEqual([]);
  });

  it("never names a message that came and went", () => {
    const view = createView(uids(1));
    view.apply({ kind: "arrived", uids: uids(2, 3) });
    view.apply({ kind: "expunged", uids: uids(2) });
    expect(view.takeNotices({ expunges: true })).toEqual([{ kind: "exists", count: 2 }]);
    expect(view.uids).toEqual([1, 3]);
  });

  it("ends with a message that appears below one already shown", () => {
    const view = createView(uids(1, 5));
    view.apply({ kind: "arrived", uids: uids(5) });
    expect(view.gone).toBeUndefined();
    view.apply({ kind: "arrived", uids: uids(3) });
    expect(view.gone).toMatch(/changed/);
  });

  it("is gone with its mailbox", () => {
    const view = createView([]);
    view.apply({ kind: "gone", reason: "Mailbox was deleted" });
    expect(view.gone).toBe("Mailbox was deleted");
  });

  it("resolves sets of sequence numbers", () => {
    const view = createView(uids(10, 20, 30));
    expect(view.ofSequences([{ from: 1, to: 2 }])).toEqual([10, 20]);
    expect(
      view.ofSequences([
        { from: 3, to: "*" },
        { from: 1, to: 1 },
      ]),
    ).toEqual([10, 30]);
    expect(view.ofSequences([{ from: 7, to: "*" }])).toEqual([30]);
    expect(view.ofSequences([{ from: 1, to: 4 }])).toBeUndefined();
    expect(createView([]).ofSequences([{ from: 1, to: "*" }])).toEqual([]);
  });

  it("resolves sets of UIDs to those it knows", () => {
    const view = createView(uids(10, 20, 30));
    expect(view.ofUids([{ from: 15, to: 99 }])).toEqual([20, 30]);
    expect(view.ofUids([{ from: 500, to: "*" }])).toEqual([30]);
    expect(view.ofUids([{ from: 11, to: 12 }])).toEqual([]);
    expect(createView([]).ofUids([{ from: 1, to: "*" }])).toEqual([]);
  });

  it("keeps the client's list equal to its own through any changes", () => {
    const step = fc.record({
      kind: fc.constantFrom("arrived", "expunged", "flags", "tell", "withhold"),
      choice: fc.array(fc.nat(1000), { minLength: 1, maxLength: 4 }),
    });
    fc.assert(
      fc.property(fc.nat(8), fc.array(step, { maxLength: 60 }), (initial, steps) => {
        let next = initial + 1;
        let server = uids(...Array.from({ length: initial }, (_, index) => index + 1));
        const view = createView(server);
        const client = [...server];
        for (const { kind, choice } of steps) {
          if (kind === "tell" || kind === "withhold") {
            const notices = view.takeNotices({ expunges: kind === "tell" });
            if (kind === "withhold") expect(notices.some((notice) => notice.kind === "expunge")).toBe(false);
            applyToClient(client, notices, view.uids);
            expect(client).toEqual(view.uids);
            if (kind === "tell") expect(client).toEqual(server);
            continue;
          }
          const named = kind === "arrived" ? choice.map(() => uid(next++)) : choose(server, choice);
          if (kind === "arrived") server = [...server, ...named];
          if (kind === "expunged") server = server.filter((one) => !named.includes(one));
          view.apply({ kind: kind as "arrived", uids: named } satisfies MailboxChange);
        }
        applyToClient(client, view.takeNotices({ expunges: true }), view.uids);
        expect(client).toEqual(server);
        expect(view.gone).toBeUndefined();
      }),
      { numRuns: 500 },
    );
  });
});

function choose(from: readonly Uid[], choice: readonly number[]): Uid[] {
  return [...new Set(choice.map((one) => from[one % Math.max(from.length, 1)]))].filter(
    (one) => one !== undefined,
  );
}
