/** What was expunged since a MODSEQ, as a server with QRESYNC tells it (RFC 7162 3.2.6, 3.2.10). */
import { MailError } from "../errors.ts";
import type { ModSeq } from "../mail/ids.ts";
import { formatNumberSet, type NumberRange, resolveSequenceSet, type UidSet } from "../mail/number-set.ts";
import type { ImapConnection } from "./imap-connection.ts";
import { expectOk } from "./refusal.ts";
import { readUidRanges } from "./uid-ranges.ts";
import type { Untagged } from "./untagged.ts";

/** All of a mailbox's, each apart from the next. */
const maxRanges = 2_000_000;
const maxPrefix = 40;

/** The connection tells expunges as VANISHED from then on, which nothing here counts. */
export async function vanishedSince(
  connection: ImapConnection,
  uids: UidSet,
  since: ModSeq,
): Promise<readonly NumberRange[] | undefined> {
  if (!connection.capabilities.has("QRESYNC")) return undefined;
  const enabled = await connection.run({ parts: ["ENABLE QRESYNC"] });
  if (enabled.status !== "OK") return undefined;
  const vanished: NumberRange[] = [];
  const wire = formatNumberSet(uids);
  const tagged = await connection.run({
    parts: [`UID FETCH ${wire} (UID) (CHANGEDSINCE ${since} VANISHED)`],
    onUntagged(untagged) {
      const set = earlier(untagged);
      if (!set) return false;
      if (vanished.length + set.length > maxRanges) throw tooMany();
      // One by one: as arguments of a call they would not fit on the stack.
      for (const range of set) vanished.push(range);
      return true;
    },
  });
  expectOk(tagged);
  return resolveSequenceSet(vanished, 0);
}

function tooMany(): MailError {
  return new MailError("UNAVAILABLE", "The old server tells of more expunges than can be held");
}

function earlier(untagged: Untagged): NumberRange[] | undefined {
  if (untagged.kind !== "data" || untagged.name !== "VANISHED") return undefined;
  const { text, position } = untagged;
  const match = /^\(EARLIER\) +/i.exec(text.slice(position, position + maxPrefix));
  return match ? readUidRanges(text.slice(position + match[0].length)) : undefined;
}
