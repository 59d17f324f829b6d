/**
 * Guessing passwords is made slow by address, whatever the protocol and however many connections: after
 * each failed login the next one from there waits longer before anything is asked of anybody, 2, 4, 8 and
 * then 15 seconds. As Dovecot's anvil has it: a user name with a password that was wrong just before neither
 * waits nor counts again (a client that was not told of a new password), a good login clears all, and
 * without a further failure it is forgotten.
 */
import { setTimeout as delay } from "node:timers/promises";
import { crc32 } from "node:zlib";
import { LRUCache } from "lru-cache";
import { isWrongLogin } from "../errors.ts";
import type { Secret } from "../mail/secret.ts";
import { addressBlock } from "./networks.ts";

export interface PenalisedAttempt {
  readonly user: string;
  readonly password: Secret;
  readonly peer: { readonly address: string };
  readonly signal: AbortSignal;
}

export interface Penalties {
  /** Runs `login` when the address may try again; takes note of how it went. */
  guard<T>(attempt: PenalisedAttempt, login: () => Promise<T>): Promise<T>;
}

export interface PenaltyOptions {
  /** Addresses that many users come from (webmail, a proxy): no penalty for them. */
  readonly isTrusted: (address: string) => boolean;
  /** For tests. */
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>;
}

const secondsByFailures = [0, 2, 4, 8, 15] as const;
/** When the longest penalty has been sat out and more: the sum of all. */
const forgetMs = 29_000;
/** Wrong logins by address that are known again. */
const maxRemembered = 10;
/** Bound on addresses; those longest without a failure go first. */
const maxAddresses = 50_000;

interface Failures {
  readonly count: number;
  readonly lastMs: number;
  readonly wrong: readonly number[];
}

export function createPenalties({ isTrusted, wait = delayFor }: PenaltyOptions): Penalties {
  const failures = new LRUCache<string, Failures>({ max: maxAddresses });

  const recentFailures = (block: string): Failures | undefined => {
    const known = failures.get(block);
    return known && known.lastMs + forgetMs > performance.now() ? known : undefined;
  };
  const waitMs = (known: Failures | undefined, login: number): number => {
    if (!known || known.wrong.includes(login)) return 0;
    const seconds = secondsByFailures[known.count] ?? 0;
    return Math.max(0, known.lastMs + seconds * 1_000 - performance.now());
  };
  const noteFailure = (block: string, login: number): void => {
    const known = recentFailures(block);
    const isRepeated = known?.wrong.includes(login) ?? false;
    const count = Math.min((known?.count ?? 0) + (isRepeated ? 0 : 1), secondsByFailures.length - 1);
    const wrong = isRepeated ? known?.wrong : [...(known?.wrong ?? []), login].slice(-maxRemembered);
    failures.set(block, { count, lastMs: performance.now(), wrong: wrong ?? [] });
  };

  return {
    async guard(attempt, login) {
      const { user, password, peer, signal } = attempt;
      if (isTrusted(peer.address)) return login();
      const block = addressBlock(peer.address);
      const checksum = crc32(`${user}\0${password.reveal()}`);
      const ms = waitMs(recentFailures(block), checksum);
      if (ms > 0) await wait(ms, signal);
      try {
        const result = await login();
        failures.delete(block);
        return result;
      } catch (error) {
        if (isWrongLogin(error)) noteFailure(block, checksum);
        throw error;
      }
    },
  };
}

function delayFor(ms: number, signal: AbortSignal): Promise<void> {
  return delay(ms, undefined, { signal });
}
