/** What the commands that change messages share. */
import { MailError } from "../../errors.ts";
import type { Uid } from "../../mail/ids.ts";
import { type MessageSet, messagesNamed } from "../message-set.ts";
import type { Selected } from "../state.ts";

/** Of the messages that this client knows those that are there still. */
export function namedMessages(state: Selected, set: MessageSet, byUid: boolean): readonly Uid[] {
  const { view } = state;
  const uids = messagesNamed(state, set, byUid);
  return view.hasExpunged ? uids.filter((uid) => !view.isExpunged(uid)) : uids;
}

/** The same for changes that are made as a whole or not at all (RFC 3501 6.4.7, RFC 2180 4.4.2). */
export function allNamedMessages(state: Selected, set: MessageSet, byUid: boolean): readonly Uid[] {
  const uids = messagesNamed(state, set, byUid);
  if (someExpunged(state, uids))
    throw new MailError("EXPUNGEISSUED", "Some of the requested messages no longer exist");
  return uids;
}

export function someExpunged({ view }: Selected, uids: readonly Uid[]): boolean {
  return view.hasExpunged && uids.some((uid) => view.isExpunged(uid));
}

export function refuseReadOnly({ readOnly }: Selected): void {
  if (readOnly) throw new MailError("CANNOT", "The mailbox is selected read-only");
}
