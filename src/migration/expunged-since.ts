import { isUnavailable } from "../errors.ts";
import type { ModSeq } from "../mail/ids.ts";
import { type NumberRange, type UidSet, uidSetOf } from "../mail/number-set.ts";
import { withMailbox } from "./mailbox-lease.ts";
import type { MailboxState } from "./mailbox-state.ts";

/** A longer set is asked for as the range around it. */
const maxRanges = 1_000;

/**
 * Of `uids` what was expunged since (others may be among them): from the log, or, for a client that was away since
 * before there was one, from the legacy server. undefined where nobody can tell.
 */
export async function expungedSince(
  state: MailboxState,
  since: ModSeq,
  uids: UidSet,
): Promise<readonly NumberRange[] | undefined> {
  const logged = state.store.expunges.since(state.record.id, since);
  if (logged) return uidSetOf(logged);
  const [first, last] = [uids[0], uids.at(-1)];
  if (state.countsModSeqs || !first || !last) return undefined;
  const asked = uids.length <= maxRanges ? uids : [{ from: first.from, to: last.to }];
  try {
    return await withMailbox(state, { priority: "interactive" }, (lease) =>
      lease.vanishedSince(asked, since),
    );
  } catch (error) {
    if (!isUnavailable(error)) throw error;
    return undefined;
  }
}
