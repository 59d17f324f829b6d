/**
 * Headers and structures as the account's store offers them. What a full disk does not take is held in memory, as
 * much as a client asks for at once, so that it can be served.
 */
import { LRUCache } from "lru-cache";
import type { Uid } from "../mail/ids.ts";
import type { MailboxFolder } from "./mailbox-folder.ts";
import type { AccountStore, MailboxRecord, StoredStructure } from "./store.ts";
import type { StoreContext } from "./store-context.ts";
import { StoreTrouble, storing } from "./store-errors.ts";

type CacheMethods = Pick<
  AccountStore,
  "saveHeaders" | "header" | "missingHeaders" | "saveStructures" | "structure" | "missingStructures"
>;

/** Of each kind. */
const maxHeldBytes = 32 << 20;

/** What comes late, of a UIDVALIDITY that is no more, is refused by `current`. */
export function createCacheMethods(
  { cache, database, logger }: StoreContext,
  current: (mailbox: MailboxRecord) => MailboxFolder,
): CacheMethods {
  const headers = new LRUCache<string, Buffer>({ maxSize: maxHeldBytes, sizeCalculation: sizeOf });
  const structures = new LRUCache<string, StoredStructure>({
    maxSize: maxHeldBytes,
    sizeCalculation: ({ body, bodyStructure }) => sizeOf(body) + sizeOf(bodyStructure),
  });
  const save = <T extends {}>(
    mailbox: MailboxRecord,
    values: ReadonlyMap<Uid, T>,
    put: (uid: Uid, value: T) => void,
    held: LRUCache<string, T>,
  ): void => {
    try {
      storing(() =>
        database.transaction(() => {
          current(mailbox);
          for (const [uid, value] of values) put(uid, value);
        }),
      );
    } catch (error) {
      if (!(error instanceof StoreTrouble)) throw error;
      logger.debug({ err: error, mailbox: mailbox.name }, "held in memory");
      for (const [uid, value] of values) held.set(keyOf(mailbox, uid), value);
    }
  };
  return {
    saveHeaders: (mailbox, values) =>
      save(mailbox, values, (uid, header) => cache.putHeader(mailbox.id, uid, header), headers),
    header: (mailbox, uid) =>
      headers.get(keyOf(mailbox, uid)) ?? storing(() => cache.header(mailbox.id, uid)),
    missingHeaders: (mailbox, uids) =>
      storing(() => cache.missingHeaders(mailbox.id, uids)).filter(
        (uid) => !headers.has(keyOf(mailbox, uid)),
      ),
    saveStructures: (mailbox, values) =>
      save(mailbox, values, (uid, structure) => cache.putStructure(mailbox.id, uid, structure), structures),
    structure: (mailbox, uid) =>
      structures.get(keyOf(mailbox, uid)) ?? storing(() => cache.structure(mailbox.id, uid)),
    missingStructures: (mailbox, uids) =>
      storing(() => cache.missingStructures(mailbox.id, uids)).filter(
        (uid) => !structures.has(keyOf(mailbox, uid)),
      ),
  };
}

function keyOf({ id, uidValidity }: MailboxRecord, uid: Uid): string {
  return `${id} ${uidValidity} ${uid}`;
}

function sizeOf({ length }: Buffer): number {
  return Math.max(1, length);
}
