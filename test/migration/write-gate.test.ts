import { expect, it } from "vitest";
import { createWriteGate } from "../../src/migration/write-gate.ts";

it("is not opened any more once it has failed", async () => {
  const gate = createWriteGate();
  const done: string[] = [];
  await gate.close(new AbortController().signal);
  const waiting = gate.pass(async () => void done.push("one that has waited"));
  gate.fail(new Error("broken"));
  gate.open();
  await expect(waiting).rejects.toThrow("broken");
  await expect(gate.pass(async () => void done.push("one that comes"))).rejects.toThrow("broken");
  expect(done).toEqual([]);
});
