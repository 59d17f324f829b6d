/** ENABLE (RFC 5161). */

import { define } from "../command.ts";
import { enableCondstore } from "../condstore.ts";
import { ok, untagged } from "../formatter.ts";
import { type Cursor, keyword, skip, space } from "../tokens.ts";

const known = ["CONDSTORE", "QRESYNC"];

export const enable = define({
  name: "ENABLE",
  state: "authenticated",
  parse: (cursor: Cursor): readonly string[] => {
    space(cursor);
    const names: string[] = [];
    do names.push(keyword(cursor));
    while (skip(cursor, " "));
    return [...new Set(names)];
  },
  run: async ({ session, args: names, output, signal }) => {
    const wanted = names.filter((name) => known.includes(name));
    output.write(untagged(["ENABLED", ...wanted].join(" ")));
    if (wanted.length > 0) await enableCondstore(session, output, signal);
    if (wanted.includes("QRESYNC")) session.enabled.qresync = true;
    return ok("Enabled.");
  },
});
