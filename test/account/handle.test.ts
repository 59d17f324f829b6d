import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createHandle } from "../../src/account/handle.ts";
import { createPatience } from "../../src/account/patience.ts";
import { createRecentLedger } from "../../src/account/recent.ts";
import { silentLogger } from "../../src/log.ts";
import { type LocalAccount, name, openLocalAccount } from "../migration/local-fixture.ts";

const { signal } = new AbortController();
let account: LocalAccount;

beforeEach(async () => {
  account = await openLocalAccount();
});
afterEach(() => account.remove());

it("a mailbox that is deleted while it is opened is not there, or is told to be gone", async () => {
  const { mirror } = account;
  const handle = createHandle({
    user: "alice",
    mirror,
    recentLedger: createRecentLedger(),
    patience: createPatience(),
    maildropLock: { isHeld: false },
    pop3: { uidlFormat: "%u", markSeen: true },
    logger: silentLogger,
    onRelease: () => undefined,
    ended: () => undefined,
  });
  for (let turns = 0; turns < 20; turns++) {
    await account.create("Short");
    const changes: string[] = [];
    const options = {
      examine: false,
      modSeqs: false,
      onChange: ({ kind }: { kind: string }) => changes.push(kind),
    };
    const opening = handle.open(name("Short"), options, signal);
    const opened = opening.then(() => "opened").catch((error: { code: string }) => error.code);
    for (let turn = 0; turn < turns; turn++) await nextTurn();
    await mirror.authority.changeName({ kind: "DELETE", name: name("Short") });
    if ((await opened) === "opened") expect(changes, `after ${turns} turns`).toEqual(["gone"]);
    else expect(await opened).toBe("NONEXISTENT");
  }
  handle.release();
});
