/**
 * An account's mirror as its sessions hold it. At cutover and back another one takes its place under them: changes
 * wait meanwhile, everything else goes on, and no session notices.
 */
import type { MailboxId } from "../mail/ids.ts";
import type { Authority } from "./authority.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import type { MaildropMirror } from "./maildrop-mirror.ts";
import type { Mirror } from "./mirror.ts";
import { createSwitchingMailbox, type SwitchingMailbox } from "./switching-mailbox.ts";
import { createWriteGate, type WriteGate } from "./write-gate.ts";

export interface SwitchingMirror {
  readonly mirror: Mirror;
  readonly current: Mirror;
  /** Changes by clients, and POP3 logins, pass it. */
  readonly gate: WriteGate;
  /** `next` has the same store and, of each mailbox, the same state. */
  switchTo(next: Mirror): Promise<void>;
}

export function createSwitchingMirror(first: Mirror): SwitchingMirror {
  let current = first;
  const gate = createWriteGate();
  const mailboxes = new Map<MailboxId, SwitchingMailbox>();
  const held = (mailbox: MailboxMirror): MailboxMirror => {
    const { id } = mailbox.state.record;
    const known = mailboxes.get(id);
    // A mailbox that was deleted and made again has another state.
    if (known?.mailbox.state === mailbox.state) return known.mailbox;
    const made = createSwitchingMailbox(mailbox);
    mailboxes.set(id, made);
    return made.mailbox;
  };
  const authority: Authority = {
    changeName: (change) => gate.pass(() => current.authority.changeName(change)),
    append(target, message) {
      // Before anything is waited for: a client that leaves takes the message away.
      const content = message.incoming.open();
      return gate.pass(() => current.authority.append(target, message)).finally(() => content.close());
    },
    store: (...args) => gate.pass(() => current.authority.store(...args)),
    expunge: (...args) => gate.pass(() => current.authority.expunge(...args)),
    copy: (...args) => gate.pass(() => current.authority.copy(...args)),
    move: (...args) => gate.pass(() => current.authority.move(...args)),
  };
  /** Who has waited at the gate asks whoever has the last word then. */
  const maildrop: MaildropMirror = {
    open: (signal) =>
      gate.pass(async () => {
        if (current.maildrop) return current.maildrop.open(signal);
        return { kind: "ours", entries: await first.store.maildrop.entries(), hasOthers: true };
      }),
    match: async () => current.maildrop?.match() ?? [],
    matchAnew: () => current.maildrop?.matchAnew(),
    noteRemoved: async (entries) => current.maildrop?.noteRemoved(entries),
    noteGone: async (entries) => current.maildrop?.noteGone(entries),
    get removeThere() {
      return current.maildrop?.removeThere;
    },
    writeThrough: async (signal) => current.maildrop?.writeThrough(signal),
    problems: () => current.maildrop?.problems() ?? [],
  };

  const mirror: Mirror = {
    store: first.store,
    get maildrop() {
      return current.maildrop && maildrop;
    },
    asOne: (work) => gate.pass(work),
    listing: (signal) => current.listing(signal),
    learnNames: () => current.learnNames(),
    mailbox: async (name, signal) => held(await current.mailbox(name, signal)),
    held: {
      list: () => current.held.list(),
      accept: (...args) => gate.pass(() => current.held.accept(...args)),
      refuse: (...args) => gate.pass(() => current.held.refuse(...args)),
      acceptOthers: (...args) => gate.pass(() => current.held.acceptOthers(...args)),
      refuseOthers: (...args) => gate.pass(() => current.held.refuseOthers(...args)),
    },
    authority,
    legacyStatus: (name, signal) => current.legacyStatus(name, signal),
    opened: () => current.opened().map(held),
    get isWholeOpen() {
      return current.isWholeOpen;
    },
    all: async () => (await current.all()).map(held),
    pull: (signal) => current.pull(signal),
    wake: () => current.wake(),
    wakeIfBehind: () => current.wakeIfBehind(),
    get outcome() {
      return current.outcome;
    },
    get busy() {
      return current.busy;
    },
    retire: () => current.retire(),
    close: () => current.close(),
  };
  return {
    mirror,
    get current() {
      return current;
    },
    gate,
    async switchTo(next) {
      const all = new Map((await next.all()).map((mailbox) => [mailbox.state.record.id, mailbox]));
      current = next;
      for (const [id, switching] of mailboxes) {
        const mailbox = all.get(id);
        if (mailbox?.state === switching.mailbox.state) switching.switchTo(mailbox);
      }
    },
  };
}
