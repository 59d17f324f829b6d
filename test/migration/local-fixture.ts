/** A local account on a disk of its own, without a server around it. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { silentLogger } from "../../src/log.ts";
import { type EncodedMailboxName, encodedMailboxName, type Uid } from "../../src/mail/ids.ts";
import { beginLocalAccount, openLocalMirror } from "../../src/migration/local-mirror.ts";
import type { MailboxMirror } from "../../src/migration/mailbox-mirror.ts";
import type { Mirror } from "../../src/migration/mirror.ts";
import type { AccountStore } from "../../src/store/store.ts";
import { createFixture } from "../store/fixture.ts";

export const name = (text: string): EncodedMailboxName => encodedMailboxName(text);

const { signal } = new AbortController();

export interface LocalAccount {
  readonly mirror: Mirror;
  readonly store: AccountStore;
  mailbox(name: string): Promise<MailboxMirror>;
  append(to: string, text: string, flags?: readonly string[]): Promise<Uid | undefined>;
  create(...names: string[]): Promise<void>;
  /** `A: 2` for a mailbox with two messages, sorted. */
  contents(): Promise<string[]>;
  listed(): Promise<string[]>;
  /** As a client sees them that selects it. */
  uids(name: string): Promise<number[]>;
  text(name: string, uid: number): Promise<string | undefined>;
  /** Below the Maildir. */
  path(...steps: string[]): string;
  files(...steps: string[]): string[];
  /** `meanwhile` is done while it is closed. */
  reopen(meanwhile?: () => void): Promise<void>;
  remove(): Promise<void>;
}

export async function openLocalAccount(): Promise<LocalAccount> {
  const fixture = createFixture();
  let store: AccountStore;
  let mirror: Mirror;
  const open = async (): Promise<void> => {
    store = await fixture.open({ durable: true });
    if (store.mailboxes().length === 0) beginLocalAccount(store);
    mirror = await openLocalMirror({ store, logger: silentLogger });
  };
  await open();
  const mailbox = (wanted: string): Promise<MailboxMirror> => mirror.mailbox(name(wanted), signal);
  const path = (...steps: string[]): string => join(fixture.directory, "Maildir", ...steps);
  return {
    get mirror() {
      return mirror;
    },
    get store() {
      return store;
    },
    mailbox,
    async append(to, text, flags = []) {
      const bytes = Buffer.from(text);
      const incoming = store.receive(bytes.length);
      void incoming.write(bytes);
      try {
        const appended = await mirror.authority.append(name(to), {
          incoming,
          flags,
          internalDate: undefined,
        });
        return appended?.uid;
      } finally {
        incoming.discard();
      }
    },
    async create(...names) {
      for (const one of names) await mirror.authority.changeName({ kind: "CREATE", name: name(one) });
    },
    async contents() {
      const all = await mirror.all();
      return all.map(({ state }) => `${state.record.name}: ${state.table.uids.length}`).sort();
    },
    listed: async () => (await mirror.listing(signal)).mailboxes.map((entry) => entry.name).sort(),
    async uids(wanted) {
      const selected = await mailbox(wanted);
      await selected.select(signal);
      return [...selected.state.table.uids];
    },
    async text(wanted, uid) {
      const content = await (await mailbox(wanted)).content(uid as Uid, signal);
      if (!content) return undefined;
      try {
        return (await content.read(0, content.sizeBytes)).toString();
      } finally {
        content.close();
      }
    },
    path,
    files: (...steps) => readdirSync(path(...steps)).sort(),
    async reopen(meanwhile) {
      await mirror.close();
      meanwhile?.();
      await open();
    },
    async remove() {
      await mirror.close();
      fixture.remove();
    },
  };
}
