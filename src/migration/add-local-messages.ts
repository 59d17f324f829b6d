/** Messages come into a local account, on stable storage when it resolves. */
import { flagsOf } from "../mail/flags.ts";
import { type Uid, uid } from "../mail/ids.ts";
import type { InternalDate } from "../mail/internal-date.ts";
import type { MessageContent } from "../mail/message.ts";
import type { AccountStore, MailboxRecord, MessageToAdd } from "../store/store.ts";
import { noteKeywords } from "./local-messages.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import { givingUids } from "./take-dropped.ts";

/** What is added, but for its UID. */
export interface Addition {
  readonly flags: readonly string[];
  readonly internalDate: InternalDate;
  readonly sizeBytes: number;
  readonly bytes:
    | { readonly content: MessageContent }
    | { readonly copyOf: { readonly mailbox: MailboxRecord; readonly uid: Uid } };
}

/** Their UIDs, in order. `onReserved` is told the first before anything is written. */
export async function addMessages(
  store: AccountStore,
  { state }: MailboxMirror,
  additions: readonly Addition[],
  onReserved?: (first: Uid) => void,
): Promise<readonly Uid[]> {
  if (additions.length === 0) return [];
  const addAlone = async (): Promise<readonly Uid[]> => {
    const first = state.reserveUids(additions.length);
    onReserved?.(first);
    const modSeq = state.nextModSeq();
    const messages = additions.map(({ flags, internalDate, sizeBytes, bytes }, index): MessageToAdd => {
      const number = uid(first + index);
      const meta = { uid: number, flags: flagsOf(flags), internalDate, sizeBytes, modSeq };
      return { meta, ...bytes };
    });
    // Before: what is stored must not be refused afterwards.
    noteKeywords(state, additions);
    const added = await store.addMessages(state.record, messages);
    state.commitAdded(added);
    return added.map((message) => message.uid);
  };
  return state.exclusive(() => givingUids(state, addAlone));
}
