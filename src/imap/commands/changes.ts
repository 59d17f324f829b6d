/**
 * Commands that change messages (RFC 3501 6.3.11, 6.4.3–6.4.7; RFC 4315, RFC 6851). Their
 * arguments are read as they will be; the answer is a refusal, since messages are read-only as yet.
 */
import { parseInternalDate } from "../../mail/internal-date.ts";
import { type Command, type CommandRules, define, nothing } from "../command.ts";
import { no } from "../formatter.ts";
import {
  astring,
  type Cursor,
  flag,
  keyword,
  list,
  literal,
  ParseError,
  peek,
  sequenceSet,
  skip,
  space,
  string,
} from "../tokens.ts";

const refusal = no("Messages cannot be changed here yet.", "CANNOT");

const ofMailbox = (cursor: Cursor): void => {
  space(cursor);
  astring(cursor);
};

const ofSet = (cursor: Cursor): void => {
  space(cursor);
  sequenceSet(cursor);
};

const ofSetAndMailbox = (cursor: Cursor): void => {
  ofSet(cursor);
  ofMailbox(cursor);
};

const ofFlagChange = (cursor: Cursor): void => {
  ofSet(cursor);
  space(cursor);
  if (!skip(cursor, "+")) skip(cursor, "-");
  if (!/^FLAGS(\.SILENT)?$/.test(keyword(cursor))) throw new ParseError("Invalid STORE item");
  space(cursor);
  if (peek(cursor) === "(") list(cursor, flag);
  else
    do flag(cursor);
    while (skip(cursor, " "));
};

const ofMessage = (cursor: Cursor): void => {
  ofMailbox(cursor);
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
};

export const changeCommands: readonly Command[] = [
  refused("APPEND", "authenticated", ofMessage),
  refused("EXPUNGE", "selected", nothing),
  refused("UID EXPUNGE", "selected", ofSet),
  refused("STORE", "selected", ofFlagChange, { usesSequenceNumbers: true }),
  refused("UID STORE", "selected", ofFlagChange),
  refused("COPY", "selected", ofSetAndMailbox),
  refused("UID COPY", "selected", ofSetAndMailbox),
  refused("MOVE", "selected", ofSetAndMailbox),
  refused("UID MOVE", "selected", ofSetAndMailbox),
];

function refused(
  name: string,
  state: "authenticated" | "selected",
  parse: (cursor: Cursor) => void,
  rules: CommandRules = {},
): Command {
  return define({ name, state, parse, run: () => refusal, ...rules });
}
