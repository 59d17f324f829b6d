/** APPEND (RFC 3501 6.3.11), with APPENDUID (RFC 4315 3). */
import { MailError } from "../../errors.ts";
import { type EncodedMailboxName, encodedMailboxName } from "../../mail/ids.ts";
import { type InternalDate, parseInternalDate } from "../../mail/internal-date.ts";
import { define } from "../command.ts";
import { ok } from "../formatter.ts";
import {
  astring,
  type Cursor,
  expectStorable,
  flag,
  list,
  literal,
  ParseError,
  peek,
  space,
  string,
} from "../tokens.ts";

export interface AppendArgs {
  readonly target: EncodedMailboxName;
  readonly flags: readonly string[];
  /** undefined: the time of its arrival. */
  readonly internalDate: InternalDate | undefined;
}

export const append = define({
  name: "APPEND",
  state: "authenticated",
  parse: appendArgs,
  run: async ({ session, state, args, signal }) => {
    const { upload } = session;
    if (upload?.kind === "refused") throw upload.error;
    if (!upload) throw new MailError("CANNOT", "The message was not taken");
    const { target, ...told } = args;
    const appended = await state.account.append(target, { ...told, incoming: upload.incoming }, signal);
    return ok("Append completed.", appended && `APPENDUID ${appended.uidValidity} ${appended.uid}`);
  },
});

export function appendArgs(cursor: Cursor): AppendArgs {
  space(cursor);
  const target = encodedMailboxName(astring(cursor));
  space(cursor);
  let flags: readonly string[] = [];
  if (peek(cursor) === "(") {
    flags = list(cursor, flag);
    space(cursor);
  }
  expectStorable(flags);
  let internalDate: InternalDate | undefined;
  if (peek(cursor) === '"') {
    internalDate = parseInternalDate(string(cursor));
    if (!internalDate) throw new ParseError("Invalid internal date");
    space(cursor);
  }
  literal(cursor);
  return { target, flags, internalDate };
}
