/**
 * COPY and MOVE within a local account: done as a whole or not at all (RFC 3501 6.4.7), also where a kill cuts
 * in. What is about to be done is written down before; the next opening finishes a MOVE whose copies are all
 * there, and takes other copies back, which nobody was told of.
 */
import { MailError } from "../errors.ts";
import type { CopiedUids } from "../mail/copied-uids.ts";
import { type EncodedMailboxName, type MailboxId, type Uid, uid } from "../mail/ids.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";
import { MessageLost } from "../store/store-errors.ts";
import { takeTurns } from "../waiting.ts";
import { addMessages } from "./add-local-messages.ts";
import { dropLost, type FullMessage, isFull, removeMessages } from "./local-messages.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";

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

export interface Transfers {
  /**
   * Throws TRYCREATE, and EXPUNGEISSUED where not all are there. One at a time: of two sessions that move a
   * message one finds it gone.
   */
  transfer(
    kind: Kind,
    from: MailboxMirror,
    uids: readonly Uid[],
    to: EncodedMailboxName,
  ): Promise<CopiedUids | undefined>;
  /**
   * To be called before any other change that removes messages: finishes one that failed half-way, whose
   * copies would be taken for others later.
   */
  settle(): Promise<void>;
}

export interface TransferMailboxes {
  /** Throws TRYCREATE. */
  readonly target: (name: EncodedMailboxName) => Promise<MailboxMirror>;
  readonly open: (record: MailboxRecord) => Promise<MailboxMirror>;
}

export function createTransfers(store: AccountStore, { target, open }: TransferMailboxes): Transfers {
  const inTurn = takeTurns();
  /** What is left to do of the last one. */
  let left: "nothing" | "intent" | "removal" = "nothing";

  const settle = async (): Promise<void> => {
    if (left === "intent") store.writeSetting(intentKey, "");
    else if (left === "removal") await finishTransfer(store, open);
    left = "nothing";
  };

  const carryOut = async (
    kind: Kind,
    from: MailboxMirror,
    messages: readonly FullMessage[],
    to: MailboxMirror,
  ): Promise<CopiedUids | undefined> => {
    const { record } = from.state;
    const uids = messages.map((message) => message.uid);
    const copies = messages.map((message) => ({
      ...message,
      bytes: { copyOf: { mailbox: record, uid: message.uid } },
    }));
    const writeIntent = (first: Uid): void => {
      const intent: Intent = { kind, from: record.id, uids, to: to.state.record.id, first };
      left = "intent";
      store.writeSetting(intentKey, JSON.stringify(intent));
    };
    const isAtomic = kind === "copy" && uids.length === 1;
    const added = await addMessages(store, to, copies, isAtomic ? undefined : writeIntent);
    if (kind === "move") {
      left = "removal";
      await removeMessages(store, from, uids);
      left = "intent";
    }
    const { uidValidity } = to.state.record;
    return uidValidity === undefined ? undefined : { uidValidity, from: uids, to: added };
  };

  const transfer: Transfers["transfer"] = async (kind, from, uids, name) => {
    await settle();
    const to = await target(name);
    const { state } = from;
    const messages = uids.map((one) => state.table.get(one)).filter((message) => message !== undefined);
    if (messages.length < uids.length) throw expungedMeanwhile();
    const whole = messages.filter(isFull);
    if (whole.length < messages.length) throw new MailError("UNAVAILABLE", "A message cannot be read");
    try {
      return await carryOut(kind, from, whole, to);
    } catch (error) {
      if (!(error instanceof MessageLost)) throw error;
      const gone = uids.filter((one) => !store.fileOf(state.record, one));
      await state.exclusive(async () => {
        if (gone.every((one) => state.table.get(one) === undefined)) throw expungedMeanwhile(error);
        await dropLost(store, state, gone);
      });
      throw error;
    } finally {
      if (left === "intent") {
        // The outcome stands, whatever comes of this.
        await settle().catch((error: unknown) =>
          state.logger.error({ err: error }, "a transfer has to be settled later"),
        );
      }
    }
  };

  return {
    settle: () => (left === "nothing" ? Promise.resolve() : inTurn(settle)),
    transfer: (...transferred) => inTurn(() => transfer(...transferred)),
  };
}

function expungedMeanwhile(cause?: unknown): MailError {
  return new MailError("EXPUNGEISSUED", "Some of the requested messages no longer exist", cause);
}

/** A COPY or MOVE is not finished. */
export function isTransferring(store: AccountStore): boolean {
  return (store.readSetting(intentKey) ?? "") !== "";
}

/** Settles what was cut off; at opening to be called before anybody sees the account. */
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
