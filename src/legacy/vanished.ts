/** What was expunged since a MODSEQ, as a server with QRESYNC tells it (RFC 7162 3.2.6, 3.2.10). */
import type { ModSeq } from "../mail/ids.ts";
import { formatNumberSet, type NumberRange, type UidSet } from "../mail/number-set.ts";
import type { ImapConnection } from "./imap-connection.ts";
import { expectOk } from "./refusal.ts";
import { joinRanges, readUidRanges } from "./uid-ranges.ts";
import type { Untagged } from "./untagged.ts";

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
      for (const range of set) vanished.push(range);
      return true;
    },
  });
  expectOk(tagged);
  return joinRanges(vanished);
}

function earlier(untagged: Untagged): NumberRange[] | undefined {
  if (untagged.kind !== "data" || untagged.name !== "VANISHED") return undefined;
  const { text, position } = untagged;
  const match = /^\(EARLIER\) +/i.exec(text.slice(position, position + maxPrefix));
  return match ? readUidRanges(text.slice(position + match[0].length)) : undefined;
}

const maxPrefix = 40;
