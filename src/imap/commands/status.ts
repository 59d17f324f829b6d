/** STATUS (RFC 3501 6.3.10, RFC 7162 3.1.7). */
import type { MailboxStatus } from "../../account/account.ts";
import { encodedMailboxName } from "../../mail/ids.ts";
import { define } from "../command.ts";
import { enableCondstore } from "../condstore.ts";
import { formatAstring, ok, untagged } from "../formatter.ts";
import { astring, type Cursor, keyword, list, ParseError, space } from "../tokens.ts";

const items = {
  MESSAGES: ({ messages }: MailboxStatus) => messages,
  RECENT: ({ recent }: MailboxStatus) => recent,
  UIDNEXT: ({ uidNext }: MailboxStatus) => uidNext,
  UIDVALIDITY: ({ uidValidity }: MailboxStatus) => uidValidity,
  UNSEEN: ({ unseen }: MailboxStatus) => unseen,
  HIGHESTMODSEQ: ({ highestModSeq }: MailboxStatus) => highestModSeq ?? 0,
} as const satisfies Record<string, (status: MailboxStatus) => number | bigint>;

type Item = keyof typeof items;

export const status = define({
  name: "STATUS",
  state: "authenticated",
  parse: (cursor) => {
    space(cursor);
    const name = astring(cursor);
    space(cursor);
    const wanted = new Set(list(cursor, statusItem));
    if (wanted.size === 0) throw new ParseError("Empty status list");
    return { name, wanted };
  },
  run: async ({ session, state, args: { name, wanted }, output, signal }) => {
    const modSeqs = wanted.has("HIGHESTMODSEQ");
    if (modSeqs) await enableCondstore(session, output, signal);
    const values = await state.account.status(encodedMailboxName(name), { modSeqs }, signal);
    const answers = [...wanted].map((item) => `${item} ${items[item](values)}`);
    // The name as the client wrote it, so that it finds its own question again.
    output.write(untagged(`STATUS ${formatAstring(name)} (${answers.join(" ")})`));
    return ok("Status completed.");
  },
});

function statusItem(cursor: Cursor): Item {
  const name = keyword(cursor);
  if (!Object.hasOwn(items, name)) throw new ParseError("Invalid status item");
  return name as Item;
}
