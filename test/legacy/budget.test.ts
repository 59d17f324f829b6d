import { describe, expect, it, onTestFinished, vi } from "vitest";
import { createBackoff } from "../../src/legacy/backoff.ts";
import { type BudgetLimits, createConnectionBudget, type Permit } from "../../src/legacy/budget.ts";
import type { Priority } from "../../src/legacy/source.ts";

const never = new AbortController().signal;

/** A budget whose grants are noted by name in the order they are made. */
function recorded(limits: BudgetLimits): {
  readonly budget: ReturnType<typeof createConnectionBudget>;
  readonly granted: string[];
  readonly permits: Map<string, Permit>;
  ask(name: string, priority: Priority, signal?: AbortSignal): void;
} {
  const budget = createConnectionBudget(limits);
  const granted: string[] = [];
  const permits = new Map<string, Permit>();
  return {
    budget,
    granted,
    permits,
    ask(name, priority, signal = never) {
      // `a1`, `a2`: requests of user a.
      budget.acquire(name.slice(0, 1), { priority, signal }).then(
        (permit) => {
          granted.push(name);
          permits.set(name, permit);
        },
        () => granted.push(`${name} gave up`),
      );
    },
  };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("connection budget", () => {
  it("limits each user, and keeps one connection of each from the background", async () => {
    const { granted, permits, ask } = recorded({ perUser: 3, total: 100 });
    for (const name of ["a1", "a2", "a3"]) ask(name, "background");
    for (const name of ["a4", "a5"]) ask(name, "interactive");
    ask("b1", "background");
    await settled();
    expect(granted).toEqual(["a1", "a2", "a4", "b1"]);
    permits.get("a1")?.release();
    permits.get("a1")?.release();
    await settled();
    expect(granted.slice(4)).toEqual(["a5"]);
    permits.get("a4")?.release();
    await settled();
    expect(granted.slice(5)).toEqual(["a3"]);
  });

  it("lets interactive go first, and users take turns", async () => {
    const { granted, permits, ask } = recorded({ perUser: 4, total: 2 });
    ask("x1", "interactive");
    ask("x2", "interactive");
    await settled();
    for (const name of ["a1", "a2", "a3"]) ask(name, "background");
    for (const name of ["b1", "b2"]) ask(name, "background");
    for (const name of ["c1", "c2", "d1"]) ask(name, "interactive");
    permits.get("x2")?.release();
    for (let count = 0; count < 8; count++) {
      await settled();
      permits.get(granted.at(-1) ?? "")?.release();
    }
    expect(granted.slice(2)).toEqual(["c1", "d1", "c2", "a1", "b1", "a2", "b2", "a3"]);
  });

  it("keeps a tenth of the whole, at least one, from the background", async () => {
    const { granted, ask } = recorded({ perUser: 2, total: 2 });
    for (const name of ["a1", "b1", "c1"]) ask(name, "background");
    ask("d1", "interactive");
    await settled();
    expect(granted).toEqual(["a1", "d1"]);
  });

  it("forgets who gave up waiting", async () => {
    const { granted, permits, ask } = recorded({ perUser: 2, total: 1 });
    ask("a1", "interactive");
    const abort = new AbortController();
    ask("b1", "interactive", abort.signal);
    ask("b2", "interactive");
    abort.abort();
    ask("c1", "interactive", abort.signal);
    await settled();
    permits.get("a1")?.release();
    await settled();
    expect(granted).toEqual(["a1", "b1 gave up", "c1 gave up", "b2"]);
  });

  it("closes the oldest idle connections when room is needed, and only then", async () => {
    const { budget, permits, ask } = recorded({ perUser: 2, total: 3 });
    const closed: string[] = [];
    for (const name of ["a1", "b1"]) ask(name, "interactive");
    await settled();
    for (const name of ["a1", "b1"]) {
      const place = permits.get(name)?.releaseIdle(async () => {
        closed.push(name);
        place?.leave();
      });
    }
    ask("c1", "interactive");
    await settled();
    await budget.makeRoom();
    expect(closed).toEqual([]);
    ask("d1", "interactive");
    await settled();
    await budget.makeRoom();
    expect(closed).toEqual(["a1"]);
    ask("e1", "interactive");
    await settled();
    await budget.makeRoom();
    expect(closed).toEqual(["a1", "b1"]);
  });

  it("takes in a connection opened elsewhere only where there is room", async () => {
    const { budget, ask } = recorded({ perUser: 2, total: 4 });
    const close = async (): Promise<void> => undefined;
    ask("a1", "interactive");
    await settled();
    const place = budget.addIdle("a", close);
    expect(place).toBeDefined();
    expect(budget.addIdle("a", close)).toBeUndefined();
    expect(budget.addIdle("b", close)).toBeDefined();
    place?.leave();
    expect(budget.addIdle("a", close)).toBeDefined();
    expect(budget.addIdle("c", close)).toBeDefined();
    expect(budget.addIdle("d", close)).toBeUndefined();
  });
});

describe("back-off", () => {
  it("tells the failure until its time is over, longer each time, and a success ends it", async () => {
    const backoff = createBackoff({ firstMs: 10, maxMs: 1_000 });
    await backoff.wait(never);
    const pauses: number[] = [];
    for (let count = 0; count < 3; count++) {
      const failure = new Error(`${count}`);
      backoff.noteFailure(failure);
      backoff.noteFailure(new Error("at the same time"));
      expect(backoff.failure).toBe(failure);
      const startedAt = performance.now();
      await backoff.wait(never);
      pauses.push(performance.now() - startedAt);
      expect(backoff.failure).toBeUndefined();
    }
    expect(pauses[0]).toBeGreaterThan(7);
    expect(pauses[1]).toBeGreaterThan(15);
    expect(pauses[2]).toBeGreaterThan(31);
    backoff.noteFailure(new Error("again"));
    backoff.noteSuccess();
    expect(backoff.failure).toBeUndefined();
  });

  it("can be left by abort", async () => {
    const backoff = createBackoff({ firstMs: 60_000, maxMs: 60_000 });
    backoff.noteFailure(new Error("down"));
    const abort = new AbortController();
    const waiting = backoff.wait(abort.signal);
    const reason = new Error("gone");
    abort.abort(reason);
    await expect(waiting).rejects.toBe(reason);
  });

  it("asks one who only waits to give way to a pull when the background's share is used up", async () => {
    const budget = createConnectionBudget({ perUser: 4, total: 20 });
    const permits: Permit[] = [];
    let asked = 0;
    const onWanted = (): void => {
      asked++;
      permits.pop()?.release();
    };
    for (let index = 0; index < 18; index++) {
      permits.push(await budget.acquire(`u${index}`, { priority: "background", signal: never, onWanted }));
    }
    await budget.acquire("pull", { priority: "background", signal: never });
    expect(asked).toBe(1);
  });

  it("lets those who only wait take turns where there are too few connections", async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const budget = createConnectionBudget({ perUser: 4, total: 3 });
    const held = new Map<string, Permit>();
    const order: string[] = [];
    const wait = async (user: string): Promise<void> => {
      const onWanted = (): void => held.get(user)?.release();
      held.set(user, await budget.acquire(user, { priority: "background", signal: never, onWanted }));
      order.push(user);
    };
    await wait("a");
    await wait("b");
    const c = wait("c");
    const d = wait("d");
    expect(budget.isCrowded).toBe(true);
    await vi.advanceTimersByTimeAsync(29_000);
    expect(order).toEqual(["a", "b"]);
    await vi.advanceTimersByTimeAsync(31_000);
    await Promise.all([c, d]);
    expect(order).toEqual(["a", "b", "c", "d"]);
    // Nobody waits any more: who has one keeps it.
    await vi.advanceTimersByTimeAsync(120_000);
    expect(order).toHaveLength(4);
  });

  it("asks one who waits to give way as soon as that is all he does", async () => {
    const budget = createConnectionBudget({ perUser: 4, total: 1 });
    let isWorking = true;
    const permit = await budget.acquire("a", {
      priority: "interactive",
      signal: never,
      onWanted: () => permit.release(),
      isWorking: () => isWorking,
    });
    let isGranted = false;
    const other = budget.acquire("b", { priority: "interactive", signal: never }).then(() => {
      isGranted = true;
    });
    await settled();
    expect(isGranted).toBe(false);
    isWorking = false;
    budget.noteRest();
    await other;
    expect(isGranted).toBe(true);
  });

  it("gives a place to work before one who would only wait", async () => {
    const budget = createConnectionBudget({ perUser: 2, total: 2 });
    const first = await budget.acquire("a", { priority: "background", signal: never });
    const granted: string[] = [];
    const note = (name: string) => () => void granted.push(name);
    const idler = { priority: "background", signal: never, onWanted: () => undefined } as const;
    budget.acquire("b", idler).then(note("idler"), note("failed"));
    budget.acquire("c", { priority: "background", signal: never }).then(note("work"), note("failed"));
    first.release();
    await settled();
    expect(granted).toEqual(["work"]);
  });

  it("has a wait that nobody has asked for give way to one that somebody has, and not the other way", async () => {
    const budget = createConnectionBudget({ perUser: 2, total: 10 });
    const wanted: string[] = [];
    const granted: string[] = [];
    let isStandby = true;
    const standby = new AbortController();
    const wait = (name: string, isSpare: () => boolean, signal = never) =>
      budget
        .acquire("a", {
          priority: "background",
          signal,
          onWanted: () => void wanted.push(name),
          isStandby: isSpare,
        })
        .then((permit) => {
          granted.push(name);
          return permit;
        });
    const first = await wait("inbox", () => isStandby);
    const watch = wait("watch", () => false);
    await settled();
    expect([wanted, granted]).toEqual([["inbox"], ["inbox"]]);
    wait("inbox again", () => isStandby, standby.signal).catch(() => undefined);
    first.release();
    const second = await watch;
    await settled();
    expect([wanted, granted]).toEqual([["inbox"], ["inbox", "watch"]]);
    standby.abort();
    second.release();
    const third = await wait("inbox", () => isStandby);
    // A client has opened it since.
    isStandby = false;
    const waiting = wait("other", () => false);
    await settled();
    expect([wanted, granted]).toEqual([["inbox"], ["inbox", "watch", "inbox"]]);
    third.release();
    await waiting;
  });

  it("gives a place to a wait that somebody has asked for first", async () => {
    const budget = createConnectionBudget({ perUser: 2, total: 10 });
    const first = await budget.acquire("a", { priority: "background", signal: never });
    const granted: string[] = [];
    const wait = (name: string, isSpare: boolean): void => {
      const request = { priority: "background", signal: never, onWanted: () => undefined } as const;
      budget.acquire("a", { ...request, isStandby: () => isSpare }).then(
        () => void granted.push(name),
        () => undefined,
      );
    };
    wait("inbox", true);
    wait("watch", false);
    first.release();
    await settled();
    expect(granted).toEqual(["watch"]);
  });
});
