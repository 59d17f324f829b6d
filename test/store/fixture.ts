import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { flagsOf } from "../../src/mail/flags.ts";
import { encodedMailboxName, modSeq, type UidValidity, uid, uidValidity } from "../../src/mail/ids.ts";
import type { MessageMeta } from "../../src/mail/message.ts";
import { type AccountStoreOptions, openAccountStore } from "../../src/store/open.ts";
import type {
  AccountStore,
  MailboxRecord,
  MessageToFile,
  StoredMessage,
  Taking,
} from "../../src/store/store.ts";

export interface StoreFixture {
  readonly directory: string;
  open(options?: AccountStoreOptions): Promise<AccountStore>;
  remove(): void;
}

export function createFixture(): StoreFixture {
  const directory = mkdtempSync(join(tmpdir(), "mailferry-store-"));
  return {
    directory,
    open: (options) => openAccountStore(directory, options),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

export interface MailboxSketch {
  readonly name?: string;
  readonly separator?: string | null;
  readonly prefix?: string;
  readonly validity?: number;
}

export function addMailbox(store: AccountStore, sketch: MailboxSketch = {}): MailboxRecord {
  const { name = "INBOX", separator = "/", prefix = "", validity = 1_275_660_208 } = sketch;
  const record = store.addMailbox({
    name: encodedMailboxName(name),
    separator,
    attributes: ["\\HasNoChildren"],
    subscribed: true,
    prefix,
  });
  const examined = { ...record, uidValidity: uidValidity(validity) as UidValidity, uidNext: uid(1000) };
  store.saveMailbox(examined);
  return examined;
}

export function metaOf(number: number, fields: Partial<Omit<MessageMeta, "uid">> = {}): MessageMeta {
  return {
    uid: uid(number),
    flags: flagsOf(["\\Seen"]),
    internalDate: { epochSeconds: 1_400_000_000 + number, zoneMinutes: 0 },
    sizeBytes: 100,
    modSeq: modSeq(0n),
    ...fields,
  };
}

export function toFile(
  number: number,
  text: string,
  fields: Partial<Omit<MessageMeta, "uid">> = {},
): MessageToFile {
  const bytes = Buffer.from(text, "latin1");
  return { meta: metaOf(number, { sizeBytes: bytes.length, ...fields }), bytes };
}

/** What the mirror does with messages that have arrived. */
export async function fileAndSave(
  store: AccountStore,
  mailbox: MailboxRecord,
  batch: readonly MessageToFile[],
): Promise<StoredMessage[]> {
  const names = await store.fileMessages(mailbox, batch);
  return store.saveMessages(
    mailbox,
    batch.map(({ meta }) => ({ presence: "full", fileName: names.get(meta.uid) ?? "", ...meta })),
  );
}

export async function readAll(
  store: AccountStore,
  mailbox: MailboxRecord,
  message: StoredMessage,
): Promise<string> {
  if (message.presence !== "full") throw new Error(`message ${message.uid} is ${message.presence}`);
  const content = store.openMessage(mailbox, message);
  try {
    return (await content.read(0, content.sizeBytes)).toString("latin1");
  } finally {
    content.close();
  }
}

/** As a mailbox does that has no message at or above `next`. */
export function takingFrom(next: number): Taking {
  let uidNext = next;
  const raiseUidNext = (least: number): void => {
    uidNext = Math.max(uidNext, least);
  };
  return {
    modSeq: modSeq(1n),
    aboveAll: 1,
    raiseUidNext,
    reserve(count, least) {
      raiseUidNext(least);
      uidNext += count;
      return uid(uidNext - count);
    },
  };
}
