/** SEARCH and UID SEARCH (RFC 3501 6.4.4, 6.4.8), with RETURN (RFC 4731) and MODSEQ (RFC 7162 3.1.5). */
import { type Command, define } from "../command.ts";
import type { Reply } from "../formatter.ts";
import { answerSearch, type SearchCall } from "../search-answer.ts";
import { searchProgram } from "../search-program.ts";
import { searchReturn } from "../search-return.ts";
import { space } from "../tokens.ts";

export const search = defineSearch("SEARCH", false);
export const uidSearch = defineSearch("UID SEARCH", true);

function defineSearch(name: string, byUid: boolean): Command {
  return define({
    name,
    state: "selected",
    usesSequenceNumbers: !byUid,
    parse: (cursor) => {
      space(cursor);
      return { returns: searchReturn(cursor), program: searchProgram(cursor) };
    },
    run: (call: SearchCall): Promise<Reply> => answerSearch(call, { name: "SEARCH", byUid }),
  });
}
