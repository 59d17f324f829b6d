import { describe, expect, it, onTestFinished } from "vitest";
import { parseDailyHours, untilEnd } from "../src/daily-hours.ts";

const at = (day: number, hours: number, minutes = 0, seconds = 0): Date =>
  new Date(2024, 1, day, hours, minutes, seconds);

function leftMinutes(text: string, when: Date): number | undefined {
  const hours = parseDailyHours(text);
  if (!hours) throw new Error(`${text} tells no hours`);
  const ms = untilEnd(hours, when);
  return ms === undefined ? undefined : ms / 60_000;
}

describe("hours of a day", () => {
  it.each([
    ["09:00-17:30", at(5, 8, 59, 59), undefined],
    ["09:00-17:30", at(5, 9), 510],
    ["09:00-17:30", at(5, 17, 29, 30), 0.5],
    ["09:00-17:30", at(5, 17, 30), undefined],
    ["22:00-05:00", at(28, 21, 59, 59), undefined],
    ["22:00-05:00", at(28, 22), 420],
    // 2024 has a 29th of February; and from there into March.
    ["22:00-05:00", at(28, 23, 59), 301],
    ["22:00-05:00", at(29, 0), 300],
    ["22:00-05:00", at(29, 4, 59), 1],
    ["22:00-05:00", at(29, 5), undefined],
    ["22:00-05:00", at(29, 23), 360],
    ["22:00-05:00", at(29, 12), undefined],
    ["22:00-00:00", at(5, 23), 60],
    ["22:00-00:00", at(5, 0), undefined],
    ["22:00-24:00", at(5, 23), 60],
    ["00:00-05:00", at(5, 0), 300],
    ["00:00-24:00", at(5, 23, 59), Number.POSITIVE_INFINITY],
  ])("%s at %s: %s minutes are left", (text, when, expected) => {
    expect(leftMinutes(text, when)).toBe(expected);
  });

  it.each(["", "22:00", "22-05", "24:00-05:00", "22:00-24:01", "22:60-05:00", "05:00-05:00", "always"])(
    "%j tells none",
    (text) => {
      expect(parseDailyHours(text)).toBeUndefined();
    },
  );

  it("last an hour less or more when the clock is changed", () => {
    const before = process.env["TZ"];
    onTestFinished(() => {
      if (before === undefined) delete process.env["TZ"];
      else process.env["TZ"] = before;
    });
    process.env["TZ"] = "Europe/Berlin";
    expect(leftMinutes("22:00-05:00", new Date("2024-03-30T22:00:00+01:00"))).toBe(360);
    expect(leftMinutes("22:00-05:00", new Date("2024-10-26T22:00:00+02:00"))).toBe(480);
    // 02:10 for the second time: they have ended at 02:30, the first time.
    expect(leftMinutes("22:00-02:30", new Date("2024-10-27T02:10:00+02:00"))).toBe(20);
    expect(leftMinutes("22:00-02:30", new Date("2024-10-27T02:10:00+01:00"))).toBeUndefined();
  });
});
