/**
 * UIDVALIDITYs made here for mailboxes whose old server gives other messages under the same one, or tells none: what it
 * tells is shown as ours wherever it is told, so that nobody above the connections knows of two.
 */
import { type EncodedMailboxName, type MailboxId, type UidValidity, uidValidity } from "../mail/ids.ts";
import type { AccountStore } from "../store/store.ts";
import { readMark } from "./cutover-marks.ts";

interface Shown {
  /** 0: none. */
  readonly told: number;
  readonly shown: UidValidity;
}

export interface ShownValidities {
  /** What clients are told where the old server tells `told`. */
  of<Told extends UidValidity | undefined>(name: EncodedMailboxName, told: Told): UidValidity | Told;
  /** The same since a cutover: names here may be others by now, so that it is asked by those there. */
  sinceCutover<Told extends UidValidity | undefined>(
    name: EncodedMailboxName,
    told: Told,
  ): UidValidity | Told;
  has(id: MailboxId, shown: UidValidity): boolean;
  /** Where the old server tells none. */
  hasForNone(id: MailboxId): boolean;
  setForNone(id: MailboxId, shown: UidValidity): void;
  /** What the old server tells where `shown` is shown. */
  toldOf(id: MailboxId, shown: UidValidity): UidValidity;
  /** From now on; written down before anybody is told. `now` is what has been shown so far. */
  replace(id: MailboxId, now: UidValidity, shown: UidValidity): void;
}

const key = "shown-validities";
const opened = new WeakMap<AccountStore, ShownValidities>();

export function shownValidities(store: AccountStore): ShownValidities {
  const known = opened.get(store) ?? open(store);
  opened.set(store, known);
  return known;
}

function open(store: AccountStore): ShownValidities {
  const kept: [MailboxId, Shown][] = JSON.parse(store.readSetting(key) || "[]");
  const all = new Map(kept);
  const keep = (id: MailboxId, next: Shown): void => {
    store.writeSetting(key, JSON.stringify([...all, [id, next]]));
    all.set(id, next);
  };
  return {
    of(name, told) {
      if (all.size === 0) return told;
      const record = store.mailboxes().find((mailbox) => mailbox.name === name);
      const own = record && all.get(record.id);
      return own?.told === (told ?? 0) ? own.shown : told;
    },
    hasForNone: (id) => all.get(id)?.told === 0,
    setForNone: (id, shown) => keep(id, { told: 0, shown }),
    sinceCutover(name, told) {
      for (const [id, own] of all)
        if (own.told === (told ?? 0) && readMark(store, id)?.name === name) return own.shown;
      return told;
    },
    has: (id, shown) => all.get(id)?.shown === shown,
    toldOf(id, shown) {
      const own = all.get(id);
      return own?.shown === shown && own.told !== 0 ? uidValidity(own.told) : shown;
    },
    replace(id, now, shown) {
      const before = all.get(id);
      keep(id, { told: before?.shown === now ? before.told : now, shown });
    },
  };
}
