/**
 * Brings messages into cur/: whole ones in batches by the writer thread, big ones by a spool. The row in
 * the sidecar comes before the file.
 */
import { join } from "node:path";
import { MailError } from "../errors.ts";
import type { Uid } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import { curPath, identityIn, type MailboxFolder, noteFile, removeFile } from "./mailbox-folder.ts";
import { formatMaildirName, identityName } from "./maildir-name.ts";
import { putExtras } from "./save-messages.ts";
import { createSpool, type Spool } from "./spool.ts";
import type { MailboxRecord, MessageToFile, SpooledMessage } from "./store.ts";
import type { StoreContext } from "./store-context.ts";
import { storing } from "./store-errors.ts";
import { fromJobError } from "./writer.ts";
import type { FileItem } from "./writer-jobs.ts";

/** Throws where the disk refuses; messages filed before that are noted and stay. */
export async function fileMessages(
  context: StoreContext,
  folder: MailboxFolder,
  batch: readonly MessageToFile[],
): Promise<Map<Uid, string>> {
  const { uidValidity } = folder;
  context.database.transaction(() => {
    for (const { meta } of batch) putExtras(context, folder, meta);
  });
  const { items, data } = pack(folder, batch);
  context.flushAhead.note(data.byteLength);
  const { names, error } = await context.writer.run({ kind: "file", folder: folder.path, items, data });
  folder.keywords.flush();
  const filed = new Map<Uid, string>();
  for (const [index, name] of names.entries()) {
    const uid = batch[index]?.meta.uid;
    if (uid !== undefined) filed.set(uid, name);
  }
  if (folder.uidValidity !== uidValidity) {
    for (const name of names) removeFile(folder, name);
    throw wasReset();
  }
  for (const [uid, name] of filed) noteFile(folder, uid, name);
  if (error) throw fromJobError(error);
  return filed;
}

/** All bytes in one buffer that can be handed over; one copy here is cheaper than many hand-overs. */
function pack(
  folder: MailboxFolder,
  batch: readonly MessageToFile[],
): { items: FileItem[]; data: ArrayBuffer } {
  const length = batch.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const data = Buffer.from(new ArrayBuffer(length));
  const items: FileItem[] = [];
  let offset = 0;
  for (const { meta, bytes } of batch) {
    bytes.copy(data, offset);
    items.push({
      identity: identityOf(folder, meta.uid),
      letters: folder.keywords.letters(meta.flags).letters,
      epochSeconds: meta.internalDate.epochSeconds,
      offset,
      length: bytes.length,
    });
    offset += bytes.length;
  }
  return { items, data: data.buffer };
}

export function spoolMessage(
  context: StoreContext,
  folder: MailboxFolder,
  uid: Uid,
  sizeBytes: number,
  temporary: number,
): SpooledMessage & { readonly spool: Spool } {
  const { uidValidity } = folder;
  const identity = identityOf(folder, uid);
  const spool = createSpool(join(folder.path, "tmp", `${identity}.s${temporary}`), sizeBytes);
  const commit = (meta: MessageMeta): string => {
    if (folder.uidValidity !== uidValidity || uidValidity === undefined) throw wasReset();
    const { letters } = folder.keywords.letters(meta.flags);
    const { crlfBytes } = spool;
    const name = formatMaildirName({ mailbox: folder.id, uidValidity, uid, sizeBytes, crlfBytes, letters });
    putExtras(context, folder, meta);
    spool.commit(curPath(folder, name), meta.internalDate.epochSeconds);
    context.flushAhead.note(sizeBytes);
    noteFile(folder, uid, name);
    folder.keywords.flush();
    return name;
  };
  return {
    spool,
    write: (chunk) => spool.write(chunk),
    open: () => spool.open(),
    commit: async (meta) => storing(() => commit(meta)),
    abort: async (reason) => storing(() => spool.abort(reason)),
  };
}

function identityOf(folder: MailboxFolder, uid: Uid): string {
  const identity = identityIn(folder, uid);
  if (!identity) throw new Error(`mailbox ${folder.id} has no UIDVALIDITY yet`);
  return identityName(identity);
}

export function wasReset(): MailError {
  return new MailError("UNAVAILABLE", "the UIDVALIDITY of the mailbox has changed");
}

/** Fails early where a record of before a reset is used. */
export function checkCurrent(folder: MailboxFolder, mailbox: MailboxRecord): void {
  if (folder.uidValidity !== mailbox.uidValidity) throw wasReset();
}
