import { afterEach, expect, it, vi } from "vitest";
import { createAccounts } from "../../src/account/accounts.ts";
import { silentLogger } from "../../src/log.ts";
import type { Mirror } from "../../src/migration/mirror.ts";

afterEach(() => {
  vi.useRealTimers();
});

it("asks about mailboxes that nobody has open as long as somebody is there", async () => {
  vi.useFakeTimers();
  let wakes = 0;
  let closes = 0;
  const wake = (): number => wakes++;
  const mirror = { wake, wakeIfBehind: wake, busy: false, opened: () => [] } as unknown as Mirror;
  const accounts = createAccounts<string>({
    open: async () => ({ mirror, renew: () => undefined, close: async () => void closes++ }),
    logger: silentLogger,
    pop3: { uidlFormat: "%u", markSeen: true },
    lingerMs: 1_000,
    pollMs: 10_000,
  });
  const [one, other] = [await accounts.attach("alice", "login"), await accounts.attach("alice", "login")];
  expect(wakes).toBe(2);
  await vi.advanceTimersByTimeAsync(25_000);
  expect(wakes).toBe(4);
  one.release();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(wakes).toBe(5);
  other.release();
  await vi.advanceTimersByTimeAsync(60_000);
  expect([wakes, closes]).toEqual([5, 1]);
  await accounts.close();
});

it("tells those whose account is closed under them", async () => {
  const mirror = { wakeIfBehind: () => undefined, busy: false, opened: () => [] } as unknown as Mirror;
  const accounts = createAccounts<string>({
    open: async () => ({ mirror, renew: () => undefined, close: async () => undefined }),
    logger: silentLogger,
    pop3: { uidlFormat: "%u", markSeen: true },
  });
  const before = await accounts.attach("alice", "login");
  expect(before.ended()).toBe(undefined);
  await accounts.drop("alice");
  const after = await accounts.attach("alice", "login");
  expect(before.ended()).toMatch(/log in again/);
  expect(after.ended()).toBe(undefined);
  await accounts.close();
});
