/**
 * COPY and MOVE within a local account: done as a whole or not at all (RFC 3501 6.4.7), also where a kill cuts
 * in. What is about to be done is written down before; the next opening finishes a MOVE whose copies are all
 * there, and takes other copies back, which nobody was told of.
 */
import { MailError } from "../errors.ts";
import type { CopiedUids } from "../mail/copied-uids.ts";
import { type EncodedMailboxName, type MailboxId, type Uid, uid } from "../mail/ids.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";
import { addMessages, isFull, removeMessages } from "./local-messages.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import { takeTurns } from "./waiting.ts";

type Kind = "copy" | "move";

interface Intent {
  readonly kind: Kind;
  readonly from: MailboxId;
  readonly uids: readonly Uid[];
  readonly to: MailboxId;
  /** UID of the first copy; the others follow. */
  readonly first: Uid;
}

const intentKey = "transfer";

export type Transfer = (
  kind: Kind,
  from: MailboxMirror,
  uids: readonly Uid[],
  to: EncodedMailboxName,
) => Promise<CopiedUids | undefined>;

/** `target` throws TRYCREATE. One at a time: of two sessions that move a message one finds it gone. */
export function createTransfer(
  store: AccountStore,
  target: (name: EncodedMailboxName) => Promise<MailboxMirror>,
): Transfer {
  const inTurn = takeTurns();
  return (kind, from, uids, name) =>
    inTurn(async () => {
      const to = await target(name);
      const { record, table } = from.state;
      const messages = uids.map((one) => table.get(one)).filter((message) => message !== undefined);
      if (messages.length === 0) return undefined;
      const whole = messages.filter(isFull);
      if (whole.length < messages.length) throw new MailError("UNAVAILABLE", "A message cannot be read");
      const present = whole.map((message) => message.uid);
      const isAtomic = kind === "copy" && present.length === 1;
      const writeIntent = (first: Uid): void =>
        store.writeSetting(
          intentKey,
          JSON.stringify({
            kind,
            from: record.id,
            uids: present,
            to: to.state.record.id,
            first,
          } satisfies Intent),
        );
      try {
        const copies = whole.map((message) => ({
          ...message,
          bytes: { copyOf: { mailbox: record, uid: message.uid } },
        }));
        const added = await addMessages(store, to, copies, isAtomic ? undefined : writeIntent);
        if (kind === "move") await removeMessages(store, from, present);
        const { uidValidity } = to.state.record;
        return uidValidity === undefined ? undefined : { uidValidity, from: present, to: added };
      } finally {
        // Also where it failed: from now on the copies may be changed by their user.
        if (!isAtomic) store.writeSetting(intentKey, "");
      }
    });
}

/** Settles what was cut off; to be called before anybody sees the account. */
export async function finishTransfer(
  store: AccountStore,
  open: (record: MailboxRecord) => Promise<MailboxMirror>,
): Promise<void> {
  const kept = store.readSetting(intentKey) ?? "";
  if (kept === "") return;
  const { kind, from, uids, to, first } = JSON.parse(kept) as Intent;
  const records = store.mailboxes();
  const [source, target] = [from, to].map((id) => records.find((record) => record.id === id));
  if (source && target) {
    const [before, after] = [await open(source), await open(target)];
    const isThere = ({ state }: MailboxMirror, one: Uid): boolean => isFull(state.table.get(one));
    const copies = uids.map((original, index) => ({ original, copy: uid(first + index) }));
    const made = copies.filter(({ copy }) => isThere(after, copy));
    const isWhole = made.length === copies.length;
    if (isWhole && kind === "move") await removeMessages(store, before, uids);
    else if (!isWhole) {
      const known = made.filter(({ original }) => isThere(before, original));
      await removeMessages(
        store,
        after,
        known.map(({ copy }) => copy),
      );
    }
  }
  store.writeSetting(intentKey, "");
}
