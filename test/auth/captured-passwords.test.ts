import { describe, expect, it } from "vitest";
import { createCapturedPasswords, type PasswordHashes } from "../../src/auth/captured-passwords.ts";
import { hashPassword, matchesHash } from "../../src/auth/password-hash.ts";
import { silentLogger } from "../../src/log.ts";
import { Secret } from "../../src/mail/secret.ts";

function hashesInMemory(): PasswordHashes & { readonly kept: string[] } {
  const kept: string[] = [];
  return {
    kept,
    passwordHashes: () => [...kept],
    savePasswordHash: (_, hash) => kept.unshift(hash),
    touchPasswordHash: () => undefined,
    dropPasswordHash: (_, hash) => kept.splice(kept.indexOf(hash), 1),
  };
}

describe("captured passwords", () => {
  it("knows what was accepted, several at a time, and keeps hashes only", async () => {
    const hashes = hashesInMemory();
    const captured = createCapturedPasswords(hashes, silentLogger);
    captured.capture("alice", new Secret("first"));
    captured.capture("alice", new Secret("second"));
    captured.capture("alice", new Secret("first"));
    await captured.settled();
    expect(hashes.kept).toHaveLength(2);
    expect(hashes.kept.join()).not.toMatch(/first|second/);
    expect(hashes.kept.every((hash) => hash.startsWith("$argon2id$"))).toBe(true);
    expect(await captured.matches("alice", new Secret("first"))).toBe(true);
    expect(await captured.matches("alice", new Secret("second"))).toBe(true);
    expect(await captured.matches("alice", new Secret("third"))).toBe(false);
  });

  it("forgets what the legacy server has refused", async () => {
    const captured = createCapturedPasswords(hashesInMemory(), silentLogger);
    captured.capture("alice", new Secret("old"));
    captured.forget("alice", new Secret("old"));
    await captured.settled();
    expect(await captured.matches("alice", new Secret("old"))).toBe(false);
  });

  it("takes a damaged hash for no match", async () => {
    const hashes = hashesInMemory();
    hashes.kept.push("not a hash");
    expect(await createCapturedPasswords(hashes, silentLogger).matches("alice", new Secret(""))).toBe(false);
  });
});

it("keeps nothing of what users log in with when it is off, and still what the operator gives", async () => {
  const hashes = hashesInMemory();
  const captured = createCapturedPasswords(hashes, silentLogger, { isOff: true });
  captured.capture("alice", new Secret("secret"));
  await captured.settled();
  expect(hashes.kept).toEqual([]);
  await captured.keep("bob", new Secret("given"));
  expect(await captured.matches("bob", new Secret("given"))).toBe(true);
});

it("hashes and compares in another thread: everything else goes on meanwhile", async () => {
  let turns = 0;
  let isOver = false;
  const turn = (): void => {
    turns++;
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  const hash = await hashPassword(new Secret("secret"));
  const whileHashing = turns;
  expect(await matchesHash(new Secret("secret"), hash)).toBe(true);
  isOver = true;
  // A hash takes some 20 ms, a turn of an idle loop some microseconds.
  expect(whileHashing).toBeGreaterThan(20);
  expect(turns - whileHashing).toBeGreaterThan(20);
});
