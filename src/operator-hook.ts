/**
 * The operator's own program, or URL, that is told before and after the last word on an account passes to another
 * server. It gets one JSON object, on standard input or as the body of a POST, and no password is in it. Before, it
 * may refuse: by an exit code or an HTTP status; the first line that it writes is the reason told. Afterwards nothing
 * that it answers changes anything; `status` shows what it did not take in.
 */
import { MailError } from "./errors.ts";
import { callProgram, callUrl, type HookAnswer } from "./hook-call.ts";
import type { Logger } from "./log.ts";
import type { Directory } from "./store/directory.ts";
import { anyOf } from "./waiting.ts";

/** One of `command` and `url` is there. */
export interface HookConfig {
  /** A program and its arguments; no shell reads them. */
  readonly command?: readonly string[] | undefined;
  readonly url?: string | undefined;
  /** Seconds. */
  readonly timeout: number;
}

export type HookedChange = "cutover" | "rollback";

export interface OperatorHook {
  /** Throws CANNOT with the reason where it refuses, or could not be asked. */
  before(change: HookedChange, user: string, signal: AbortSignal): Promise<void>;
  /** Just before the change is written down: should the process end there, `status` says that it was not told. */
  due(change: HookedChange, user: string): void;
  /** Never rejects: what it did not take in, for people. */
  after(change: HookedChange, user: string, details?: HookDetails): Promise<string | undefined>;
  /** Ends what is under way. */
  close(): Promise<void>;
}

/** What else `after` tells. */
export type HookDetails = Readonly<Record<string, string | number | boolean | undefined>>;

export interface OperatorHookOptions {
  readonly config: HookConfig | undefined;
  readonly directory: Pick<Directory, "account" | "cutoverNotes">;
  readonly logger: Logger;
}

export function createOperatorHook({ config, directory, logger }: OperatorHookOptions): OperatorHook {
  if (!config) return noHook;
  const closing = new AbortController();
  const running = new Set<Promise<void>>();
  const note = (user: string, hookProblem: string | undefined): void =>
    directory.cutoverNotes.write(user, { hookProblem });

  const track = <T>(work: Promise<T>): Promise<T> => {
    const forget = (): void => void running.delete(ended);
    const ended: Promise<void> = work.then(forget, forget);
    running.add(ended);
    return work;
  };
  const tell = async (event: string, user: string, details: HookDetails, signal: AbortSignal) => {
    const legacy = directory.account(user)?.legacy;
    const body = JSON.stringify({ event, user, legacy, time: new Date().toISOString(), ...details });
    const { ok, status, firstLine } = await call(config, body, anyOf(signal, closing.signal));
    logger.info({ account: user, event, status, answer: firstLine }, "the hook has answered");
    if (!ok) throw new MailError("CANNOT", `the hook refuses (${status})${firstLine && `: ${firstLine}`}`);
  };
  const tellAfter = async (change: HookedChange, user: string, details: HookDetails) => {
    const event = `after-${change}`;
    try {
      await tell(event, user, details, closing.signal);
      note(user, undefined);
      return undefined;
    } catch (error) {
      const problem = `${event}: ${(error as Error).message}`;
      logger.error({ err: error, account: user }, "the hook has not taken in what was done");
      try {
        note(user, problem);
      } catch (cause) {
        logger.error({ err: cause, account: user }, "the hook's problem could not be kept");
      }
      return problem;
    }
  };
  return {
    async before(change, user, signal) {
      await track(tell(`before-${change}`, user, {}, signal));
    },
    due: (change, user) => note(user, `after-${change}: the hook was not told`),
    after: (change, user, details = {}) => track(tellAfter(change, user, details)),
    async close() {
      closing.abort(new MailError("UNAVAILABLE", "the server ended before the hook answered"));
      await Promise.all(running);
    },
  };
}

const noHook: OperatorHook = {
  before: async () => undefined,
  due: () => undefined,
  after: async () => undefined,
  close: async () => undefined,
};

/** Throws CANNOT where it could not be asked, or does not answer in time. */
async function call(
  { command, url, timeout }: HookConfig,
  body: string,
  signal: AbortSignal,
): Promise<HookAnswer> {
  const patience = AbortSignal.timeout(timeout * 1_000);
  const ending = anyOf(signal, patience);
  try {
    ending.throwIfAborted();
    return await (url === undefined ? callProgram(command ?? [], body, ending) : callUrl(url, body, ending));
  } catch (error) {
    signal.throwIfAborted();
    if (patience.aborted)
      throw new MailError("CANNOT", `the hook has not answered within ${timeout} s`, error);
    throw new MailError("CANNOT", `the hook could not be called (${causeOf(error)})`, error);
  }
}

/** `ENOENT`, `ECONNREFUSED`; fetch hides it in the cause. */
function causeOf(error: unknown): string {
  const { cause, code, message } = error as { cause?: unknown; code?: unknown; message?: unknown };
  if (cause !== undefined) return causeOf(cause);
  return String(code ?? message);
}
