/**
 * How far an old server with POP3 only is believed when it lists less than before: most of a small mailbox is gone
 * only when a later look says so, too; most of a big one when somebody has decided (deletion-brake.ts).
 */
import type { MaildropEntry } from "../store/maildrop-table.ts";
import { compareUids } from "./compare.ts";
import type { MailboxState } from "./mailbox-state.ts";

export interface ListingBelief {
  /** Takes those that are not listed any more; gives back those of which it is not believed. */
  judge(left: readonly MaildropEntry[]): readonly MaildropEntry[];
  /** Somebody has decided: what is held now is gone. */
  release(): void;
}

/** A server's bad moment is over by then. */
const secondLookMs = 30_000;
/** So few come and go every day. */
const few = 2;

export function createListingBelief({ table, brake, logger }: MailboxBelief): ListingBelief {
  /** Those that are doubted: when each was first missed, by UIDL. */
  let missed = new Map<string, number>();
  let isDecided = false;
  const isSudden = (count: number): boolean => {
    const total = table().uids.length;
    return count === total || (count > few && count > total / 2);
  };
  const doubt = (left: readonly MaildropEntry[]): readonly MaildropEntry[] => {
    const now = performance.now();
    const isDoubtful = !isDecided && isSudden(left.length);
    const doubted = isDecided ? [] : left.filter(({ uidl }) => isDoubtful || missed.has(uidl));
    isDecided = false;
    missed = new Map(doubted.map(({ uidl }) => [uidl, missed.get(uidl) ?? now]));
    return doubted.filter(({ uidl }) => now - (missed.get(uidl) ?? now) < secondLookMs);
  };
  return {
    judge(left) {
      if (left.length === 0 && brake.held.length === 0) return doubt(left);
      const gone = new Set(left.map(({ message }) => message?.uid));
      const uids = table().uids.filter((one) => !gone.has(one));
      const before = brake.held.length;
      brake.judge(table(), { uids, ...compareUids(brake.withoutHeld(table().uids), uids) });
      if (brake.held.length > before)
        logger.error({ messages: brake.held.length }, "the old POP3 server suddenly lists much less");
      const isHeld = ({ message }: MaildropEntry): boolean =>
        message !== undefined && brake.isHeld(message.uid);
      const doubted = doubt(left.filter((entry) => !isHeld(entry)));
      if (doubted.length > 0)
        logger.warn({ messages: doubted.length }, "the old POP3 server lists less; it is asked once more");
      return [...left.filter(isHeld), ...doubted];
    },
    release() {
      isDecided = true;
      brake.release();
    },
  };
}

interface MailboxBelief extends Pick<MailboxState, "brake" | "logger"> {
  /** A mailbox gets another one with another UIDVALIDITY. */
  readonly table: () => MailboxState["table"];
}
