import { expect, it } from "vitest";
import { createSharedTurns } from "../../src/migration/shared-turns.ts";

it("work that shares runs side by side, and work that is alone waits for all before it, and holds up all behind it", async () => {
  const turns = createSharedTurns();
  const log: string[] = [];
  const gates = new Map<string, () => void>();
  const work = (name: string) => async (): Promise<void> => {
    log.push(`${name} begins`);
    await new Promise<void>((resolve) => gates.set(name, resolve));
    log.push(`${name} ends`);
  };
  const open = async (name: string): Promise<void> => {
    await expect.poll(() => gates.has(name)).toBe(true);
    gates.get(name)?.();
  };
  const all = [
    turns.shared(work("a")),
    turns.shared(work("b")),
    turns.exclusive(work("alone")),
    turns.shared(work("c")),
    turns.exclusive(work("again")),
  ];
  await open("b");
  await open("a");
  await open("alone");
  await open("c");
  await open("again");
  await Promise.all(all);
  expect(log).toEqual([
    "a begins",
    "b begins",
    "b ends",
    "a ends",
    "alone begins",
    "alone ends",
    "c begins",
    "c ends",
    "again begins",
    "again ends",
  ]);
});

it("a failure is its own, and the next goes on", async () => {
  const turns = createSharedTurns();
  const failure = new Error("no");
  await expect(turns.shared(() => Promise.reject(failure))).rejects.toBe(failure);
  await expect(turns.exclusive(() => Promise.reject(failure))).rejects.toBe(failure);
  expect(await turns.exclusive(async () => "next")).toBe("next");
});

it("tells who is alone whether others were inside since he asked", async () => {
  const turns = createSharedTurns();
  const first = turns.exclusive(async (waited) => waited);
  const second = turns.exclusive(async (waited) => waited);
  expect(await Promise.all([first, second])).toEqual([false, true]);
  expect(await turns.exclusive(async (waited) => waited)).toBe(false);
});
