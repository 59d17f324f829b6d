import type { Uid } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import type { SearchContext } from "./search-run.ts";

/** Messages whose headers are asked for at once. */
const batchSize = 500;

/** Calls `visit` for each of `uids` that is still there, in order. Throws UNAVAILABLE. */
export async function forEachHeader(
  { state: { mailbox }, signal, breathe }: SearchContext,
  uids: readonly Uid[],
  withHeader: boolean,
  visit: (meta: MessageMeta, header: Buffer | undefined) => void,
): Promise<void> {
  await mailbox.require(uids, "meta", signal);
  for (let first = 0; first < uids.length; first += batchSize) {
    const batch = uids.slice(first, first + batchSize);
    if (withHeader) await mailbox.require(batch, "header", signal);
    for (const uid of batch) {
      const meta = mailbox.meta(uid);
      if (meta) visit(meta, withHeader ? mailbox.header(uid) : undefined);
      await breathe();
    }
  }
}
