import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { soon } from "../../src/account/client-first.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("what comes a moment later is taken back until then, and ended from then on", () => {
  const begun: string[] = [];
  const begin = (name: string) => () => {
    begun.push(name);
    return () => void begun.push(`${name} ended`);
  };
  const endNow = soon(0, begin("now"));
  const endEarly = soon(10, begin("early"));
  const endLate = soon(10, begin("late"));
  expect(begun).toEqual(["now"]);
  endEarly();
  vi.advanceTimersByTime(10);
  expect(begun).toEqual(["now", "late"]);
  endNow();
  endLate();
  expect(begun).toEqual(["now", "late", "now ended", "late ended"]);
});
