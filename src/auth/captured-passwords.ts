/**
 * Passwords that the legacy server has accepted, kept as argon2id hashes: an account may have several
 * valid ones at a time. Hashing runs off the main thread, one at a time and a moment behind the login: on a
 * busy morning it must not take the processor from those who are waiting.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "../log.ts";
import type { Secret } from "../mail/secret.ts";
import { hashPassword, matchesHash } from "./password-hash.ts";

/** Where hashes are kept: the directory. */
export interface PasswordHashes {
  passwordHashes(user: string): readonly string[];
  savePasswordHash(user: string, hash: string, at: Date): void;
  touchPasswordHash(user: string, hash: string, at: Date): void;
  dropPasswordHash(user: string, hash: string): void;
}

export interface CapturedPasswords {
  /** Keeps a password that the operator has given; it is there when this resolves. */
  keep(user: string, password: Secret): Promise<void>;
  /** Takes note of a success, in the background. */
  capture(user: string, password: Secret): void;
  /** Forgets a password that the legacy server has refused, in the background. */
  forget(user: string, password: Secret): void;
  /** Whether this password was accepted once and not refused since. */
  matches(user: string, password: Secret): Promise<boolean>;
  /** Resolves when what has been noted so far is kept. */
  noted(): Promise<void>;
  /** Pauses no more; resolves when nothing is under way. */
  settled(): Promise<void>;
}

export interface CaptureOptions {
  /** No hashes are kept of what users log in with; default: false. */
  readonly isOff?: boolean;
}

const pauseMs = 1_000;

export function createCapturedPasswords(
  hashes: PasswordHashes,
  logger: Logger,
  { isOff = false }: CaptureOptions = {},
): CapturedPasswords {
  const closing = new AbortController();
  const pause = (): Promise<void> =>
    delay(pauseMs, undefined, { signal: closing.signal }).catch(() => undefined);
  let last: Promise<void> = Promise.resolve();
  const enqueue = (user: string, work: () => Promise<void>): void => {
    last = last
      .then(pause)
      .then(work)
      .catch((error: unknown) => {
        logger.error({ err: error, account: user }, "password hash could not be kept");
      });
  };
  const find = async (user: string, password: Secret): Promise<string | undefined> => {
    for (const hash of hashes.passwordHashes(user)) if (await matchesHash(password, hash)) return hash;
    return undefined;
  };
  return {
    async keep(user, password) {
      hashes.savePasswordHash(user, await hashPassword(password), new Date());
    },
    capture(user, password) {
      if (isOff) return;
      enqueue(user, async () => {
        const known = await find(user, password);
        if (known === undefined) hashes.savePasswordHash(user, await hashPassword(password), new Date());
        else hashes.touchPasswordHash(user, known, new Date());
      });
    },
    forget(user, password) {
      enqueue(user, async () => {
        const known = await find(user, password);
        if (known !== undefined) hashes.dropPasswordHash(user, known);
      });
    },
    matches: async (user, password) => (await find(user, password)) !== undefined,
    noted: () => last,
    settled() {
      closing.abort();
      return last;
    },
  };
}
