/** SEARCH and UID SEARCH (RFC 3501 6.4.4, 6.4.8). */
import type { Uid } from "../../mail/ids.ts";
import { type Command, define } from "../command.ts";
import { no, ok } from "../formatter.ts";
import type { Output } from "../output.ts";
import { searchProgram } from "../search-program.ts";
import { runSearch } from "../search-run.ts";
import { space } from "../tokens.ts";
import type { View } from "../view.ts";

export const search = defineSearch("SEARCH", false);
export const uidSearch = defineSearch("UID SEARCH", true);

function defineSearch(name: string, byUid: boolean): Command {
  return define({
    name,
    state: "selected",
    usesSequenceNumbers: !byUid,
    parse: (cursor) => {
      space(cursor);
      return searchProgram(cursor);
    },
    run: async ({ state, args, output, signal }) => {
      if (args.kind === "unknown-charset") return no("Unknown charset", "BADCHARSET (US-ASCII UTF-8)");
      const found = await runSearch({ state, signal, breathe: output.flushed }, args.key);
      await writeFound(byUid ? found : sequencesOf(found, state.view), output);
      return ok("Search completed.");
    },
  });
}

/** `uids` ascending, all of the view. */
function sequencesOf(uids: readonly Uid[], view: View): readonly number[] {
  const all = view.uids;
  let index = 0;
  return uids.map((uid) => {
    while (all[index] !== uid && index < all.length) index++;
    return index + 1;
  });
}

const numbersAtOnce = 10_000;

async function writeFound(numbers: readonly number[], output: Output): Promise<void> {
  output.write("* SEARCH");
  for (let first = 0; first < numbers.length; first += numbersAtOnce) {
    output.write(` ${numbers.slice(first, first + numbersAtOnce).join(" ")}`);
    await output.flushed();
  }
  output.write("\r\n");
}
