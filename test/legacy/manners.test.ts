import { expect, it, vi } from "vitest";
import type { ImapConnection } from "../../src/legacy/imap-connection.ts";
import { createManners } from "../../src/legacy/manners.ts";
import { ServerFault } from "../../src/legacy/server-fault.ts";

function watched() {
  const manners = createManners();
  const closed = Promise.withResolvers<unknown>();
  const connection = { closed: closed.promise, onAnswered: undefined } as unknown as ImapConnection;
  manners.watch(connection);
  const answer = (status: "OK" | "NO" | "BAD", ms: number, text = "text") =>
    connection.onAnswered?.({ status, code: undefined, text } as never, ms, 10_000);
  return { manners, answer, close: closed.resolve };
}

it("has nothing to tell of a server that behaves, and is refused now and then", () => {
  const { manners, answer } = watched();
  for (let count = 0; count < 100; count++) answer(count % 20 === 0 ? "NO" : "OK", 5);
  expect(manners.told()).toBeUndefined();
});

it("tells what was closed, refused and slow, for a minute", async () => {
  const { manners, answer, close } = watched();
  for (let count = 0; count < 20; count++) answer("NO", 120, "not now");
  for (let count = 0; count < 3; count++) answer("BAD", 80, "what?");
  close(new ServerFault("The old server closed the connection"));
  await Promise.resolve();
  expect(manners.told()).toBe(
    "the old server closes connections (1 in the last minute: The old server closed the connection), " +
      "refuses commands (3 in the last minute: BAD what?), refuses commands (20 in the last minute: NO not now), " +
      "answers slowly (120 ms), sends slowly (87 KB/s)",
  );
  const now = performance.now.bind(performance);
  vi.spyOn(performance, "now").mockImplementation(() => now() + 61_000);
  expect(manners.told()).toBeUndefined();
  vi.restoreAllMocks();
});

it("does not count connections that we have closed", async () => {
  const { manners, close } = watched();
  close(new Error("the account is being closed"));
  await Promise.resolve();
  expect(manners.told()).toBeUndefined();
});
