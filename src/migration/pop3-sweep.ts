/**
 * The sweep (straggler-sweep.ts) where the legacy server has POP3 only. What was there at the cutover has its row in
 * the maildrop table, and so has what was brought over since: all else is new, and comes into INBOX.
 *
 * What always holds
 * - Rows stay as they are: our POP3 clients know messages by these UIDLs, whatever the old server calls them now.
 * - Nothing is deleted, there or here; what a client has deleted here does not come again.
 */
import type { Pop3Session } from "../legacy/pop3-client.ts";
import type { Pop3Source } from "../legacy/pop3-source.ts";
import { inbox, type Uidl, uidl } from "../mail/ids.ts";
import type { MaildropEntry } from "../store/maildrop-table.ts";
import type { AccountStore } from "../store/store.ts";
import { withoutAccepted } from "./accepted-uidls.ts";
import { createIdentification, type Identification } from "./identify-messages.ts";
import type { OnRemoving } from "./mailbox-state.ts";
import { type ListedMessage, listingOf } from "./maildrop-listing.ts";
import { sizesOf } from "./maildrop-sizes.ts";
import { createPop3Pull, type Pop3Pull } from "./pop3-pull.ts";
import type { Look } from "./straggler-sweep.ts";
import type { Pop3Side } from "./uidl-match.ts";

export interface Pop3LookParts {
  readonly store: AccountStore;
  readonly source: Pop3Source;
}

export function pop3Look({ store, source }: Pop3LookParts): Look {
  const identification = createIdentification();
  let pull: Pop3Pull | undefined;
  return async (mailbox, closing) => {
    const record = store.mailboxes().find(({ name }) => name === inbox);
    if (!record) return 0;
    pull ??= createPop3Pull({ store, inbox: await mailbox(record), sizes: sizesOf(source.server) });
    const { bring } = pull;
    let count = 0;
    for (let needsAnother = true; needsAnother; )
      await source.inBackground(closing, async (session, signal) => {
        const messages = await listedWithRows(store, identification, session, signal);
        const wanted = withoutAccepted(
          store,
          messages.map(({ entry }) => entry),
        );
        const brought = await bring({
          session,
          messages: messages.filter(({ entry }) => wanted.includes(entry)),
          signal,
        });
        count += brought.count;
        ({ needsAnother } = brought);
      });
    return count;
  };
}

/** Of a local account: its sweep must not take for new what somebody here has removed. */
export function markRemovedFrom(store: AccountStore): OnRemoving {
  return ({ id }, uids) => store.maildrop.markRemoved(id, uids);
}

/** The old server's listing; what is new in it gets its row, behind all others. */
async function listedWithRows(
  store: AccountStore,
  identification: Identification,
  session: Pop3Session,
  signal: AbortSignal,
): Promise<readonly ListedMessage[]> {
  const listing = await listingOf(session, store);
  const kept = await store.maildrop.entries();
  const known = await identification.identify({
    session,
    kept,
    listing,
    maxQuestions: Number.POSITIVE_INFINITY,
    signal,
  });
  // Read anew: clients may have deleted some meanwhile.
  const now = new Map((await store.maildrop.entries()).map((entry) => [entry.position, entry]));
  const taken = new Set(kept.map((entry) => entry.uidl));
  const put: MaildropEntry[] = [];
  const messages = listing.map((listed, index): ListedMessage => {
    const entry = now.get(known[index]?.position ?? 0);
    if (entry) return { number: listed.number, entry };
    const added = newRow(listed, (kept.at(-1)?.position ?? 0) + put.length + 1, taken);
    put.push(added);
    return { number: listed.number, entry: added };
  });
  if (put.length > 0) store.maildrop.change({ removed: [], put });
  return messages;
}

/** With a UIDL that no other message here has: some servers give those of removed ones to new ones. */
function newRow({ uidl: told, sizeBytes }: Pop3Side, position: number, taken: Set<Uidl>): MaildropEntry {
  const own = taken.has(told) ? uidl(`${told}.${position}`) : told;
  taken.add(own);
  return {
    position,
    uidl: own,
    sizeBytes,
    message: undefined,
    isRemoved: false,
    problem: undefined,
    print: undefined,
  };
}
