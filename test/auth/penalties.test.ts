import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createPenalties, type Penalties } from "../../src/auth/penalties.ts";
import { MailError } from "../../src/errors.ts";
import { Secret } from "../../src/mail/secret.ts";

let waitedMs: number[];
let penalties: Penalties;

beforeEach(() => {
  vi.useFakeTimers();
  waitedMs = [];
  penalties = createPenalties({
    isTrusted: (address) => address === "10.0.0.1",
    wait: async (ms) => {
      waitedMs.push(ms);
      vi.advanceTimersByTime(ms);
    },
  });
});

afterEach(() => {
  vi.useRealTimers();
});

/** How long a login was held back. */
async function waitOf(
  password: string,
  { address = "192.0.2.1", code = "AUTHENTICATIONFAILED" as "AUTHENTICATIONFAILED" | "UNAVAILABLE" } = {},
): Promise<number> {
  const before = waitedMs.length;
  const { signal } = new AbortController();
  const attempt = { user: "alice", password: new Secret(password), peer: { address }, signal };
  await penalties
    .guard(attempt, async () => {
      if (password !== "right") throw new MailError(code, "no");
    })
    .catch(() => {});
  return waitedMs[before] ?? 0;
}

describe("penalties", () => {
  it("double from 2 to 15 seconds", async () => {
    const waits: number[] = [];
    for (const password of ["a", "b", "c", "d", "e", "f"]) waits.push(await waitOf(password));
    expect(waits).toEqual([0, 2_000, 4_000, 8_000, 15_000, 15_000]);
  });

  it("count the time since the last failure", async () => {
    await waitOf("a");
    await waitOf("b");
    vi.advanceTimersByTime(3_000);
    expect(await waitOf("c")).toBe(1_000);
  });

  it("are cleared by a good login", async () => {
    for (const password of ["a", "b", "c", "right"]) await waitOf(password);
    expect(await waitOf("d")).toBe(0);
  });

  it("are forgotten half a minute after the last failure", async () => {
    for (const password of ["a", "b", "c"]) await waitOf(password);
    vi.advanceTimersByTime(30_000);
    expect([await waitOf("d"), await waitOf("e")]).toEqual([0, 2_000]);
  });

  it("do not grow by the same wrong password, nor hold it back", async () => {
    for (let count = 0; count < 5; count++) expect(await waitOf("old")).toBe(0);
    expect(await waitOf("b")).toBe(2_000);
    expect(await waitOf("old")).toBe(0);
  });

  it("are of one address or one /64, and of no trusted one", async () => {
    for (const password of ["a", "b"]) await waitOf(password);
    for (const password of ["a", "b"]) await waitOf(password, { address: "2001:db8::1" });
    expect(await waitOf("c", { address: "192.0.2.2" })).toBe(0);
    expect(await waitOf("c", { address: "::ffff:192.0.2.1" })).toBe(2_000);
    expect(await waitOf("c", { address: "2001:db8::2" })).toBe(2_000);
    expect(await waitOf("c", { address: "2001:db8:0:1::1" })).toBe(0);
    for (const password of ["a", "b", "c"]) expect(await waitOf(password, { address: "10.0.0.1" })).toBe(0);
  });

  it("are not for a legacy server that is away", async () => {
    for (const password of ["a", "b"]) await waitOf(password, { code: "UNAVAILABLE" });
    expect(await waitOf("c")).toBe(0);
  });

  it("end their wait with the client", async () => {
    vi.useRealTimers();
    const real = createPenalties({ isTrusted: () => false });
    const { signal } = new AbortController();
    const attempt = (password: string, until = signal) =>
      real.guard(
        { user: "alice", password: new Secret(password), peer: { address: "192.0.2.1" }, signal: until },
        () => Promise.reject(new MailError("AUTHENTICATIONFAILED", "no")),
      );
    await attempt("a").catch(() => {});
    await expect(attempt("b", AbortSignal.abort())).rejects.toThrow("abort");
  });
});
