/**
 * Dovecot's dotlock: a file `<path>.lock` that only one can make, in it `<pid>:<host>`. Who waits takes it over
 * when its process is gone (a kill -9 must not cost two minutes) or when it has not been touched for the
 * stale time; who holds it long touches it.
 */
import { linkSync, readFileSync, statSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { MailError } from "../errors.ts";
import { errorCode } from "./store-errors.ts";

/** Of dovecot-uidlist and of subscriptions, as Dovecot has them. */
export const uidlistLock = { waitMs: 122_000, staleMs: 120_000 } as const;
export const subscriptionsLock = { waitMs: 120_000, staleMs: 30_000 } as const;

export interface LockTimes {
  readonly waitMs: number;
  readonly staleMs: number;
}

export interface Dotlock {
  /** To be called at least every 10 seconds by who works long. */
  touch(): void;
  release(): void;
}

const pollMs = 50;

/** undefined while somebody else has it. */
export function tryDotlock(path: string, { staleMs }: LockTimes): Dotlock | undefined {
  const lockPath = `${path}.lock`;
  const lock = createLock(lockPath);
  if (lock) return lock;
  if (!isAbandoned(lockPath, staleMs)) return undefined;
  unlinkIfThere(lockPath);
  return createLock(lockPath);
}

/** Waits; throws INUSE when the time is over. */
export async function acquireDotlock(path: string, times: LockTimes, signal?: AbortSignal): Promise<Dotlock> {
  const deadline = Date.now() + times.waitMs;
  for (;;) {
    const lock = tryDotlock(path, times);
    if (lock) return lock;
    if (Date.now() > deadline) throw new MailError("INUSE", `${path}.lock is held by another process`);
    await delay(pollMs, undefined, signal ? { signal } : {});
  }
}

function isAbandoned(lockPath: string, staleMs: number): boolean {
  const stat = statSync(lockPath, { throwIfNoEntry: false });
  if (!stat || Date.now() - stat.mtimeMs > staleMs) return true;
  const [pid, host] = readIfThere(lockPath).split(":");
  if (!pid || host !== hostname()) return false;
  // A lock older than this process with its pid was left by one before it (pid 1 in a container).
  if (Number(pid) === process.pid) return stat.ctimeMs < performance.timeOrigin;
  return !isAlive(Number(pid));
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return errorCode(error) !== "ESRCH";
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return "";
    throw error;
  }
}

function createLock(lockPath: string): Dotlock | undefined {
  // Dovecot's own form: it takes a lock over at once when this process is gone. Written aside and linked, since a
  // kill between the two would leave a lock of nobody, which is waited for for minutes.
  const own = `${lockPath}.${process.pid}`;
  // One that such a kill left may be the lock itself, which writing would renew.
  unlinkIfThere(own);
  writeFileSync(own, `${process.pid}:${hostname()}`, { mode: 0o600 });
  try {
    linkSync(own, lockPath);
  } catch (error) {
    if (errorCode(error) === "EEXIST") return undefined;
    throw error;
  } finally {
    unlinkSync(own);
  }
  return {
    touch: () => utimesSync(lockPath, new Date(), new Date()),
    release: () => unlinkIfThere(lockPath),
  };
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}
