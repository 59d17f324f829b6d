import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createNewsPace } from "../../src/migration/news-pace.ts";

const never = new AbortController().signal;

beforeEach(() => void vi.useFakeTimers({ toFake: ["performance", "setTimeout", "clearTimeout"] }));
afterEach(() => void vi.useRealTimers());

/** When looks are made, in seconds, by a server that tells something at once each time. */
async function looksWithin(seconds: number, hasFound: boolean): Promise<number[]> {
  const pace = createNewsPace();
  const looks: number[] = [];
  const ended = new AbortController();
  const shouting = (async () => {
    while (!ended.signal.aborted) {
      await pace.turn(ended.signal);
      looks.push(Math.round(performance.now() / 1_000));
      pace.noteLook(hasFound);
    }
  })();
  const start = Math.round(performance.now() / 1_000);
  await vi.advanceTimersByTimeAsync(seconds * 1_000 - 1);
  ended.abort();
  await shouting;
  return looks.slice(0, -1).map((at) => at - start);
}

it("a server that tells nothing but noise is looked at seldom, and not forgotten", async () => {
  const looks = await looksWithin(120, false);
  expect(looks.slice(0, 7)).toEqual([0, 0, 0, 0, 1, 3, 7]);
  expect(looks.length).toBeLessThan(20);
  expect(looks.at(-1)).toBeGreaterThanOrEqual(100);
});

it("one that always has news is looked at once a second", async () => {
  const looks = await looksWithin(60, true);
  expect(looks.length).toBeGreaterThanOrEqual(60);
  expect(looks.length).toBeLessThanOrEqual(64);
});

it("news now and then is looked at when it comes", async () => {
  const pace = createNewsPace();
  for (let times = 0; times < 20; times++) {
    const before = performance.now();
    await pace.turn(never);
    expect(performance.now()).toBe(before);
    pace.noteLook(times % 2 === 0);
    await vi.advanceTimersByTimeAsync(5_000);
  }
});
