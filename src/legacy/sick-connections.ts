/**
 * After a name was deleted, made or renamed, a session of the old server that knew it before may go on with what is no
 * more (Dovecot: SERVERBUG, NONEXISTENT, TRYCREATE for a mailbox that is there): what such a session refuses is no
 * answer, and it is not used again.
 */
import { MailError, OutcomeUnknown, type ResponseCode } from "../errors.ts";

export interface SickConnections {
  /** A name is being changed. */
  noteChange(): void;
  /** Whether that may be a fault of the connection, and nothing was done. */
  isSign(error: unknown): boolean;
}

/** What a session has in its memory of names is read anew by then. */
const suspectMs = 60_000;

const signs: ReadonlySet<ResponseCode | undefined> = new Set([
  "SERVERBUG",
  "NONEXISTENT",
  "TRYCREATE",
  "UNAVAILABLE",
] as const);

export function createSickConnections(): SickConnections {
  let changedAt = Number.NEGATIVE_INFINITY;
  return {
    noteChange() {
      changedAt = performance.now();
    },
    isSign: (error) =>
      error instanceof MailError &&
      !(error instanceof OutcomeUnknown) &&
      signs.has(error.code) &&
      performance.now() - changedAt < suspectMs,
  };
}
