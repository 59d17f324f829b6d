/** The process that flushes for the server, from its start to its end. */
import { readdirSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, expect, it } from "vitest";
import { isAlive } from "../helpers/fake-sync.ts";
import { type Mailferry, startMailferry } from "../helpers/mailferry.ts";
import { waitUntil } from "../helpers/wait-until.ts";

let mailferry: Mailferry;

beforeEach(async () => {
  mailferry = await startMailferry({});
});
afterEach(() => mailferry.close());

function childrenOf(pid: number): readonly number[] {
  return readdirSync(`/proc/${pid}/task`)
    .flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, "latin1").split(" "))
    .filter((child) => child !== "")
    .map(Number);
}

it("is one, which the server leaves in good order", async () => {
  const children = childrenOf(mailferry.pid);
  expect(children).toHaveLength(1);
  expect(readFileSync(`/proc/${children[0]}/comm`, "latin1")).toBe("sh\n");
  expect(await mailferry.stop()).toBe(0);
  expect(children.filter(isAlive)).toEqual([]);
});

it("ends with a server that is killed", async () => {
  const children = childrenOf(mailferry.pid);
  await mailferry.kill();
  await waitUntil("the helper has ended", () => !children.some(isAlive));
});
