/** A mailbox as its sessions hold it, under which the mirror may be exchanged; what is known of it stays. */
import type { MailboxMirror } from "./mailbox-mirror.ts";
import type { WatchOptions } from "./watch.ts";

export interface SwitchingMailbox {
  readonly mailbox: MailboxMirror;
  /** `next` has the same state. */
  switchTo(next: MailboxMirror): void;
}

interface Watching {
  readonly options: WatchOptions | undefined;
  stop: () => void;
}

export function createSwitchingMailbox(first: MailboxMirror): SwitchingMailbox {
  let current = first;
  const watching = new Set<Watching>();
  const mailbox: MailboxMirror = {
    state: first.state,
    get quarantine() {
      return current.quarantine;
    },
    retryNow: () => current.retryNow(),
    headers: (uids) => current.headers(uids),
    structures: (uids) => current.structures(uids),
    subscribe: (listener) => current.subscribe(listener),
    sync: (signal, options) => current.sync(signal, options),
    select: (signal, options) => current.select(signal, options),
    publish: (added, signal) => current.publish(added, signal),
    watch(options) {
      const one = { options, stop: current.watch(options) };
      watching.add(one);
      return () => {
        watching.delete(one);
        one.stop();
      };
    },
    flags: (uids) => current.flags(uids),
    metadata: (uids) => current.metadata(uids),
    changedSince: (since) => current.changedSince(since),
    expungedSince: (since, uids) => current.expungedSince(since, uids),
    content: (uid, signal) => current.content(uid, signal),
    prefetch: (uids) => current.prefetch(uids),
    sort: (keys, uids) => current.sort(keys, uids),
    thread: (algorithm, uids) => current.thread(algorithm, uids),
    search: (criteria, charset, signal) => current.search(criteria, charset, signal),
    pullTurn: (turnMs, options) => current.pullTurn(turnMs, options),
    isBehind: () => current.isBehind(),
    checkpoint: () => current.checkpoint(),
  };
  return {
    mailbox,
    switchTo(next) {
      current = next;
      for (const one of watching) {
        one.stop();
        one.stop = next.watch(one.options);
      }
    },
  };
}
