/** When the policy does what, with accounts that a test plays and a clock that it sets. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type CutoverPolicy,
  type CutoverPolicyOptions,
  nextStep,
  rolledBack,
  startCutoverPolicy,
} from "../src/cutover-policy.ts";
import { parseDailyHours } from "../src/daily-hours.ts";
import { MailError } from "../src/errors.ts";
import { silentLogger } from "../src/log.ts";
import { type Directory, openDirectory } from "../src/store/directory.ts";
import { pause } from "../src/waiting.ts";

const config = { auto: true, afterVerifiedDays: 2, hours: parseDailyHours("22:00-05:00")! };
const at = (day: number, hours: number, minutes = 0): Date => new Date(2024, 0, day, hours, minutes);
const nothing = {
  equalSince: undefined,
  lookedAt: undefined,
  problem: undefined,
  hookProblem: undefined,
  cutOverAt: undefined,
};

describe("the next step", () => {
  it.each([
    ["never looked at", {}, at(1, 12), "verify"],
    ["equal, a moment ago", { equalSince: at(1, 12), lookedAt: at(1, 12) }, at(1, 23), undefined],
    ["equal, a day ago", { equalSince: at(1, 12), lookedAt: at(1, 12) }, at(2, 12), "verify"],
    [
      "equal for a minute less than two days",
      { equalSince: at(1, 23), lookedAt: at(2, 23) },
      at(3, 22, 59),
      undefined,
    ],
    ["equal for two days, by night", { equalSince: at(1, 23), lookedAt: at(2, 23) }, at(3, 23), "cut over"],
    [
      "equal for two days, past midnight",
      { equalSince: at(1, 1), lookedAt: at(3, 0) },
      at(3, 4, 59),
      "cut over",
    ],
    ["equal for two days, by day", { equalSince: at(1, 5), lookedAt: at(3, 4) }, at(3, 5), undefined],
    ["equal for long, by day", { equalSince: at(1, 5), lookedAt: at(3, 4) }, at(4, 5), "verify"],
    ["different an hour ago", { lookedAt: at(1, 12), problem: "x" }, at(1, 13), "verify"],
    ["different a moment ago", { lookedAt: at(1, 12), problem: "x" }, at(1, 12, 59), undefined],
    [
      "a cutover failed",
      { equalSince: at(1, 1), lookedAt: at(3, 23), problem: "x" },
      at(3, 23, 30),
      undefined,
    ],
    [
      "a cutover failed an hour ago",
      { equalSince: at(1, 1), lookedAt: at(3, 23), problem: "x" },
      at(4, 0),
      "cut over",
    ],
    [
      "a cutover failed by night, and it is day",
      { equalSince: at(1, 1), lookedAt: at(3, 4), problem: "x" },
      at(3, 9),
      undefined,
    ],
    ["not asked an hour ago", { equalSince: at(1, 1), lookedAt: at(2, 1), problem: "x" }, at(2, 2), "verify"],
    ["rolled back", { equalSince: at(1, 1), lookedAt: at(3, 1), cutOverAt: at(1, 2) }, at(9, 23), undefined],
    ["the clock was wrong", { equalSince: at(20, 1), lookedAt: at(20, 1) }, at(9, 23), "verify"],
    ["and something failed", { lookedAt: at(20, 1), problem: "x" }, at(9, 23), "verify"],
  ] as const)("%s", (_, note, now, step) => {
    expect(nextStep({ ...nothing, ...note }, config, now)).toBe(step);
  });
});

describe("a running policy", () => {
  let folder: string;
  let directory: Directory;
  let policy: CutoverPolicy;
  let now: Date;
  /** How often it has looked for accounts. */
  let looks: number;
  let done: string[];
  let underWay: number;
  const verdict = { equal: true, samplePercent: 100, mailboxes: [] };
  const different = {
    ...verdict,
    equal: false,
    subscriptions: {
      subscribedLegacy: 1,
      subscribedHere: 0,
      differences: [{ name: "Work", detail: "subscribed on the legacy server only" }],
    },
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "policy-"));
    directory = openDirectory(folder);
    [now, looks, done, underWay] = [at(1, 12), 0, [], 0];
  });
  afterEach(async () => {
    policy.stop();
    await policy.ended;
    directory.close();
    rmSync(folder, { recursive: true });
  });

  function start({
    users = ["alice"],
    verify = async () => verdict,
    cutOver = async (user) => directory.writeStage(user, "local"),
    auto = true,
  }: {
    users?: readonly string[];
    verify?: (user: string, signal: AbortSignal) => Promise<unknown>;
    cutOver?: (user: string, signal: AbortSignal) => Promise<void>;
    auto?: boolean;
  }): void {
    for (const user of users) {
      directory.ensureAccount(user, "imap://old");
      directory.writeStage(user, "complete");
    }
    const alone = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
      done.push(what);
      expect(++underWay).toBe(1);
      try {
        return await work();
      } finally {
        underWay--;
      }
    };
    const mailferry: CutoverPolicyOptions["mailferry"] = {
      directory,
      openUsers() {
        looks++;
        return users;
      },
      hasCredentials: (user) => user !== "nobody",
      withMirror: (user, _, signal) => alone(`verify ${user}`, () => verify(user, signal)) as Promise<never>,
      cutOver: (user, { signal }) =>
        alone(`cut over ${user}`, async () => {
          await cutOver(user, signal);
          return { heldMs: 1 };
        }),
    };
    policy = startCutoverPolicy({
      config: { ...config, auto },
      mailferry,
      logger: silentLogger,
      now: () => now,
      lookMs: 5,
    });
  }
  /** It has looked again, and found nothing to do. */
  async function rests(): Promise<void> {
    const before = looks;
    await expect.poll(() => looks).toBeGreaterThan(before + 3);
  }
  const note = (user = "alice") => directory.cutoverNotes.read(user);

  it("cuts over what was equal for so many days, and within the hours", async () => {
    start({ users: ["alice", "nobody"] });
    await rests();
    expect(note()).toEqual({ ...nothing, equalSince: at(1, 12), lookedAt: at(1, 12) });
    now = at(2, 13);
    await rests();
    now = at(3, 12, 30);
    await rests();
    expect(note()).toEqual({ ...nothing, equalSince: at(1, 12), lookedAt: at(2, 13) });
    now = at(3, 23);
    await rests();
    expect(directory.account("alice")?.stage).toBe("local");
    expect(done).toEqual(["verify alice", "verify alice", "cut over alice"]);
    expect(directory.account("nobody")?.stage).toBe("complete");
  });

  it("a difference begins the days anew, and is told; a server that is away does neither", async () => {
    const answers = [async () => verdict, async () => Promise.reject(new MailError("UNAVAILABLE", "away"))];
    start({ verify: () => (answers.shift() ?? (async () => different))() });
    await rests();
    now = at(2, 12);
    await rests();
    expect(note()).toMatchObject({ equalSince: at(1, 12), lookedAt: at(2, 12), problem: "away" });
    now = at(2, 12, 59);
    await rests();
    expect(done).toHaveLength(2);
    now = at(2, 13);
    await rests();
    expect(note()).toMatchObject({
      equalSince: undefined,
      lookedAt: now,
      problem: "both sides are not equal: Work: subscribed on the legacy server only",
    });
    await rests();
    expect(done).toHaveLength(3);
  });

  it("a date that is yet to come, of a clock that was wrong once, is not believed", async () => {
    directory.ensureAccount("alice", "imap://old");
    directory.cutoverNotes.write("alice", { equalSince: at(300, 12), lookedAt: at(300, 12) });
    start({});
    await rests();
    expect(note()).toMatchObject({ equalSince: at(1, 12), lookedAt: at(1, 12) });
    expect(done).toEqual(["verify alice"]);
  });

  it("a cutover that fails is tried again an hour later, and not in between", async () => {
    let fails = true;
    start({
      users: ["alice", "bob"],
      async cutOver(user) {
        if (user === "alice" && fails)
          throw new MailError("CANNOT", "the hook refuses (exit code 1): not today");
        directory.writeStage(user, "local");
      },
    });
    await rests();
    now = at(3, 23);
    await rests();
    // The failure of one does not end the others.
    expect(directory.account("bob")?.stage).toBe("local");
    expect(note()).toMatchObject({
      equalSince: at(1, 12),
      problem: "the hook refuses (exit code 1): not today",
    });
    expect(done.filter((what) => what === "cut over alice")).toHaveLength(1);
    fails = false;
    now = at(4, 0);
    await rests();
    expect(directory.account("alice")?.stage).toBe("local");
    expect(note()).toMatchObject({ problem: undefined });
  });

  it("one at a time, and a cutover before comparisons", async () => {
    directory.cutoverNotes.write("carol", { equalSince: at(1, 0), lookedAt: at(3, 1) });
    now = at(3, 2);
    const verify = async () => {
      await pause(5, new AbortController().signal);
      return verdict;
    };
    start({ users: ["alice", "bob", "carol"], verify });
    await expect.poll(() => done).toEqual(["cut over carol", "verify alice", "verify bob"]);
    await rests();
    expect(done).toHaveLength(3);
  });

  it("is over with its hours", async () => {
    directory.cutoverNotes.write("alice", { equalSince: at(1, 0), lookedAt: at(3, 1) });
    now = new Date(at(3, 5).getTime() - 50);
    start({ cutOver: (_, signal) => pause(60_000, signal) });
    await expect.poll(() => note().problem).toBe("cutover.hours were over before it was done");
  });

  it("leaves alone what was rolled back, and says so", async () => {
    directory.cutoverNotes.write("alice", { cutOverAt: at(1, 0) });
    start({});
    await expect.poll(() => note().problem).toBe(rolledBack);
    await rests();
    expect(done).toEqual([]);
  });

  it("gives up what is under way when it is stopped, and writes nothing down", async () => {
    start({ verify: (_, signal) => pause(60_000, signal) });
    await expect.poll(() => done).toEqual(["verify alice"]);
    policy.stop();
    await policy.ended;
    expect(note()).toEqual(nothing);
    expect(underWay).toBe(0);
  });

  it("does nothing where it is off", async () => {
    start({ auto: false });
    await policy.ended;
    expect(looks).toBe(0);
  });
});
