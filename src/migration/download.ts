/**
 * One message on its way from the legacy server: who wants it waits here, and all share the one
 * download. Small messages are collected whole and given to the batch; big ones are spooled, and can
 * be read while they arrive.
 */
import { MailError } from "../errors.ts";
import type { Uid } from "../mail/ids.ts";
import type { MessageContent } from "../mail/message.ts";

export interface Download {
  readonly uid: Uid;
  /** Resolves when reading can begin; undefined when the legacy server has no such message any more. */
  readonly opened: Promise<(() => MessageContent) | undefined>;
  readonly settle: (open: (() => MessageContent) | undefined) => void;
  readonly fail: (reason: unknown) => void;
}

export function createDownload(uid: Uid): Download {
  const { promise, resolve, reject } = Promise.withResolvers<(() => MessageContent) | undefined>();
  // Nobody may be waiting: a background download that fails is reported by its lease.
  promise.catch(() => undefined);
  return { uid, opened: promise, settle: resolve, fail: reject };
}

export function notAnswered(uid: Uid): MailError {
  return new MailError("UNAVAILABLE", `the legacy server did not answer for UID ${uid}`);
}
