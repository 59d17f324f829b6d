/**
 * Stage 2 of reading commands, its outside: tag and command name. What follows is each command's own
 * (commands/), put together from tokens.ts.
 */
import type { CommandText } from "./fragments.ts";
import { type Cursor, cursorOf, keyword, ParseError, skip, tag } from "./tokens.ts";

export interface CommandLine {
  /** undefined where it is not one: the answer goes out with `*`. */
  readonly tag: string | undefined;
  /** Upper case, `UID FETCH` for two words; '' where there is none. */
  readonly name: string;
  /** Behind the name, before the space. */
  readonly cursor: Cursor;
}

const maxTagChars = 255;

/** Never throws, so that a command that makes no sense can still be answered with its tag. */
export function parseCommandLine(text: CommandText): CommandLine {
  const cursor = cursorOf(text);
  const commandTag = attempt(() => tag(cursor));
  if (commandTag === undefined || commandTag.length > maxTagChars)
    return { tag: undefined, name: "", cursor };
  if (!skip(cursor, " ")) return { tag: commandTag, name: "", cursor };
  const first = attempt(() => keyword(cursor)) ?? "";
  if (first !== "UID") return { tag: commandTag, name: first, cursor };
  const second = skip(cursor, " ") ? attempt(() => keyword(cursor)) : undefined;
  return { tag: commandTag, name: `UID ${second ?? ""}`, cursor };
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof ParseError) return undefined;
    throw error;
  }
}
