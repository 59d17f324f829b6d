/**
 * What a rollback writes down beforehand of a mailbox, for when the legacy server has the last word again: which
 * UIDVALIDITY it has there where it could not keep its own, and which messages are told there otherwise than here.
 */
import type { MailboxId, Uid, UidValidity } from "../mail/ids.ts";
import type { AccountStore } from "../store/store.ts";
import type { MailboxState } from "./mailbox-state.ts";

export interface GivenBackNote {
  /** undefined where it has kept its own. */
  readonly uidValidity: UidValidity | undefined;
  /** The legacy server has them with another date, or has written something into them. */
  readonly changed: readonly Uid[];
}

const noteKey = (id: MailboxId): string => `given-back:${id}`;

export function noteGivenBack(store: AccountStore, id: MailboxId, note: GivenBackNote): void {
  store.writeSetting(noteKey(id), JSON.stringify(note));
}

function noteOf(store: AccountStore, id: MailboxId): GivenBackNote {
  return JSON.parse(store.readSetting(noteKey(id)) || '{"changed":[]}') as GivenBackNote;
}

/** It is known already, and nothing to be told. */
export function isGivenBack(store: AccountStore, id: MailboxId, uidValidity: UidValidity): boolean {
  return noteOf(store, id).uidValidity === uidValidity;
}

/** What is told there otherwise is pulled anew. */
export async function forgetChanged(state: MailboxState): Promise<void> {
  const { store, record } = state;
  const note = noteOf(store, record.id);
  if (note.changed.length === 0) return;
  const present = note.changed.filter((one) => state.table.get(one) !== undefined);
  state.commitForgotten(present);
  await store.removeMessages(record, present);
  noteGivenBack(store, record.id, { ...note, changed: [] });
}
