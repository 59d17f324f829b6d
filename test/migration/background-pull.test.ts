import { expect, it } from "vitest";
import { MailError } from "../../src/errors.ts";
import { silentLogger } from "../../src/log.ts";
import { createBackgroundPull } from "../../src/migration/background-pull.ts";
import type { MailboxMirror } from "../../src/migration/mailbox-mirror.ts";
import { createMessageTable } from "../../src/migration/message-table.ts";
import type { AccountStore } from "../../src/store/store.ts";

const { signal } = new AbortController();
const store = { makeDurable: async () => undefined } as AccountStore;

function mailbox(name: string, pullTurn: () => Promise<"done">): MailboxMirror {
  return {
    state: {
      record: { name, uidNext: 1 },
      table: createMessageTable([]),
      brake: { held: [] },
      problem: undefined,
      store: { readSetting: () => undefined },
      source: { use: async () => Promise.reject(new MailError("UNAVAILABLE", "away")) },
      signal,
    },
    quarantine: new Map(),
    isBehind: () => false,
    pullTurn,
    checkpoint: async () => undefined,
  } as unknown as MailboxMirror;
}

it("survives that its outcome cannot be written down", async () => {
  const pull = createBackgroundPull({
    store,
    logger: silentLogger,
    signal,
    list: async () => [],
    onOutcome: () => {
      throw new Error("ENOSPC");
    },
  });
  expect(await pull.run()).toEqual({ kind: "complete" });
});

it("goes on with the other mailboxes when some are refused, and tells which", async () => {
  const pulled: string[] = [];
  const refused = async (): Promise<never> => {
    throw new MailError("CANNOT", "Permission denied");
  };
  const done = (name: string) => async () => {
    pulled.push(name);
    return "done" as const;
  };
  const pull = createBackgroundPull({
    store,
    logger: silentLogger,
    signal,
    list: async () => [
      ...[mailbox("a", refused), mailbox("b", refused), mailbox("c", done("c"))],
      mailbox("INBOX", done("INBOX")),
    ],
    onOutcome: () => undefined,
  });
  expect(await pull.run()).toEqual({
    kind: "incomplete",
    problems: ["a: Permission denied", "b: Permission denied"],
    bars: ["a: Permission denied", "b: Permission denied"],
  });
  expect(pulled).toEqual(["INBOX", "c"]);
});

it("is not complete before what came in meanwhile is here", async () => {
  let hasMore = false;
  const turns: string[] = [];
  const turn = (name: string) => async () => {
    turns.push(name);
    // While the second is pulled, mail comes into the first.
    hasMore = name === "Work";
    return "done" as const;
  };
  const pull = createBackgroundPull({
    store,
    logger: silentLogger,
    signal,
    list: async () => [
      { ...mailbox("INBOX", turn("INBOX")), isBehind: () => hasMore },
      mailbox("Work", turn("Work")),
    ],
    onOutcome: () => undefined,
  });
  expect(await pull.run()).toEqual({ kind: "complete" });
  expect(turns).toEqual(["INBOX", "Work", "INBOX"]);
});
