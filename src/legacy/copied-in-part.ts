/** A COPY or MOVE that was sent in several commands: what their answers come to, and what a refusal leaves behind. */
import { MailError } from "../errors.ts";
import type { CopiedUids } from "../mail/copied-uids.ts";
import type { UidSet } from "../mail/number-set.ts";

/** Refused after some of the messages were copied. It says what the refusal says. */
export class CopiedInPart extends MailError {
  /** Which messages. */
  readonly done: UidSet;
  /** Where they are, as far as that was told. */
  readonly copied: CopiedUids | undefined;

  constructor({ code, message, cause }: MailError, done: UidSet, copied: CopiedUids | undefined) {
    super(code, message, cause);
    [this.done, this.copied] = [done, copied];
  }
}

/** undefined where one of them did not tell, or they tell of different mailboxes. */
export function joinCopied(told: readonly (CopiedUids | undefined)[]): CopiedUids | undefined {
  const known = told.filter((one) => one !== undefined);
  const [first] = known;
  if (!first || known.length < told.length) return undefined;
  if (known.some(({ uidValidity }) => uidValidity !== first.uidValidity)) return undefined;
  return {
    uidValidity: first.uidValidity,
    from: known.flatMap(({ from }) => from),
    to: known.flatMap(({ to }) => to),
  };
}
