/**
 * LOGIN-DELAY (RFC 2449 6.5): so many seconds have to pass between two logins of a user. Clients who keep to it are not
 * to be refused for logins of ours, so each of these waits its time. Courier tells it and does not mind: nobody waits
 * before a server has refused a login for it.
 */
import { TooSoon } from "../errors.ts";
import { pause } from "../waiting.ts";
import type { LegacyServerConfig } from "./server-config.ts";
import type { Priority } from "./source.ts";

interface Pace {
  readonly delayMs: number;
  /** A login was refused for it. */
  readonly isMeant: boolean;
  /** The last login of each user, the oldest first. */
  readonly logins: Map<string, number>;
}

const paces = new WeakMap<LegacyServerConfig, Pace>();

/** A client that logs in waits no longer. */
const patienceMs = 30_000;
const maxDelayMs = 24 * 3_600_000;

/** After a login, with what the server says of itself. */
export function noteLogin(
  config: LegacyServerConfig,
  login: string,
  capabilities: ReadonlyMap<string, string>,
): void {
  const seconds = Number.parseInt(capabilities.get("LOGIN-DELAY") ?? "", 10);
  if (!(seconds > 0)) {
    paces.delete(config);
    return;
  }
  const { logins, isMeant } = paces.get(config) ?? { logins: new Map<string, number>(), isMeant: false };
  const [delayMs, now] = [Math.min(seconds * 1_000, maxDelayMs), performance.now()];
  logins.delete(login);
  logins.set(login, now);
  for (const [user, at] of logins) {
    if (at + 2 * delayMs > now) break;
    logins.delete(user);
  }
  paces.set(config, { delayMs, isMeant, logins });
}

/** In how long the next one may be; 0 for now. */
export function mayLogInAfterMs(config: LegacyServerConfig, login: string, priority: Priority): number {
  const pace = paces.get(config);
  const last = pace?.logins.get(login);
  if (!pace?.isMeant || last === undefined) return 0;
  // A client does not wait as long as that: what is not its login leaves room for one.
  const times = priority !== "interactive" && pace.delayMs > patienceMs ? 2 : 1;
  return Math.max(0, last + times * pace.delayMs - performance.now());
}

/** Logs in when it may be; once more where only the server's refusal has told that it is to wait. */
export async function inPace<T>(
  config: LegacyServerConfig,
  {
    login,
    priority,
    signal,
  }: { readonly login: string; readonly priority: Priority; readonly signal: AbortSignal },
  logIn: () => Promise<T>,
): Promise<T> {
  await untilLogin(config, login, priority, signal);
  try {
    return await logIn();
  } catch (error) {
    const pace = paces.get(config);
    if (!(error instanceof TooSoon) || !pace || pace.isMeant) throw error;
    paces.set(config, { ...pace, isMeant: true });
    await untilLogin(config, login, priority, signal);
    return logIn();
  }
}

/** Waits for it. Throws TooSoon where that takes longer than a client waits. */
async function untilLogin(
  config: LegacyServerConfig,
  login: string,
  priority: Priority,
  signal: AbortSignal,
): Promise<void> {
  for (
    let ms = mayLogInAfterMs(config, login, priority);
    ms > 0;
    ms = mayLogInAfterMs(config, login, priority)
  ) {
    if (priority === "interactive" && ms > patienceMs)
      throw new TooSoon(`The next login may be in ${Math.ceil(ms / 1_000)} seconds.`);
    // A timer may go off a little early.
    await pause(ms + 1, signal);
  }
}
