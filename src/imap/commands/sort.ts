/** SORT and UID SORT (RFC 5256, RFC 5957), with RETURN (RFC 5267 3). */
import { type SortKey, type SortKind, sortNames } from "../../mail/sort-key.ts";
import { type Call, type Command, define } from "../command.ts";
import type { Reply } from "../formatter.ts";
import { answerSearch, type SearchArgs } from "../search-answer.ts";
import { searchProgramWithCharset } from "../search-program.ts";
import { searchReturn } from "../search-return.ts";
import { sortMessages } from "../sort-messages.ts";
import type { Selected } from "../state.ts";
import { type Cursor, keyword, list, ParseError, space } from "../tokens.ts";

export const sort = defineSort("SORT", false);
export const uidSort = defineSort("UID SORT", true);

interface SortArgs extends SearchArgs {
  readonly keys: readonly SortKey[];
}

function defineSort(name: string, byUid: boolean): Command {
  return define({
    name,
    state: "selected",
    usesSequenceNumbers: !byUid,
    parse: (cursor): SortArgs => {
      space(cursor);
      const returns = searchReturn(cursor);
      const keys = sortKeys(cursor);
      space(cursor);
      return { returns, keys, program: searchProgramWithCharset(cursor) };
    },
    run: (call: Call<Selected, SortArgs>): Promise<Reply> =>
      answerSearch(call, {
        name: "SORT",
        byUid,
        arrange: (context, found) => sortMessages(context, call.args.keys, found),
      }),
  });
}

const kinds = new Map<string, SortKind>(
  Object.entries(sortNames).map(([kind, name]) => [name, kind as SortKind]),
);

const maxKeys = 20;

function sortKeys(cursor: Cursor): readonly SortKey[] {
  const keys: SortKey[] = [];
  let reverse = false;
  const names = list(cursor, keyword);
  for (const name of names) {
    if (name === "REVERSE") {
      reverse = !reverse;
      continue;
    }
    const kind = kinds.get(name);
    if (!kind) throw new ParseError("Unknown sort key");
    keys.push({ kind, reverse });
    reverse = false;
  }
  if (names.at(-1) === "REVERSE") throw new ParseError("Sort list ends with REVERSE");
  if (keys.length === 0 || keys.length > maxKeys) throw new ParseError("Invalid sort list");
  return keys;
}
