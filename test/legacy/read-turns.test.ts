/** What is read from old servers in one turn of the event loop. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, it } from "vitest";
import { noteReading } from "../../src/legacy/read-turns.ts";

it("others have their turn after 5 ms of reading, whoever was read, and after 15 ms where little is to come", async () => {
  await nextTurn();
  expect(noteReading(3, false)).toBe(false);
  expect(noteReading(3, true)).toBe(false);
  expect(noteReading(0, false)).toBe(true);
  expect(noteReading(8, true)).toBe(false);
  expect(noteReading(1, true)).toBe(true);
  await nextTurn();
  expect(noteReading(3, false)).toBe(false);
});
