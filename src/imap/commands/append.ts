/**
 * APPEND (RFC 3501 6.3.11). Its arguments are read as they will be; the answer is a refusal, since messages
 * are not taken as yet.
 */
import { parseInternalDate } from "../../mail/internal-date.ts";
import { define } from "../command.ts";
import { no } from "../formatter.ts";
import { astring, type Cursor, flag, list, literal, ParseError, peek, space, string } from "../tokens.ts";

export const append = define({
  name: "APPEND",
  state: "authenticated",
  parse: ofMessage,
  run: () => no("Messages cannot be added here yet.", "CANNOT"),
});

function ofMessage(cursor: Cursor): void {
  space(cursor);
  astring(cursor);
  space(cursor);
  if (peek(cursor) === "(") {
    list(cursor, flag);
    space(cursor);
  }
  if (peek(cursor) === '"') {
    if (!parseInternalDate(string(cursor))) throw new ParseError("Invalid internal date");
    space(cursor);
  }
  literal(cursor);
}
