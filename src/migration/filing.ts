/**
 * From the wire to the Maildir: takes the messages of one FETCH as they come and files them. Small ones
 * are collected and filed in batches by the writer thread; big ones are spooled while they arrive. When
 * the disk falls behind, the legacy server waits. What contradicts its size is not filed (contradiction.ts).
 */

import { MailError } from "../errors.ts";
import type { BodySink } from "../legacy/source.ts";
import type { Uid } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import { contentOf, nilContent } from "../mail/message-content.ts";
import type { MailboxRecord, MessageToFile, SpooledMessage } from "../store/store.ts";
import { StoreTrouble } from "../store/store-errors.ts";
import {
  Contradiction,
  createPrint,
  isBelieved,
  otherSize,
  type Print,
  unbelievedOf,
} from "./contradiction.ts";
import { createDownload, type Download } from "./download.ts";
import type { FiledMessage, MailboxState } from "./mailbox-state.ts";

/** From this size on a message is written as it arrives, not collected in memory. */
const spoolFromBytes = 1 << 20;
/** Filed together in the writer thread. */
const batchBytes = 1 << 20;
/** Bytes collected but not on disk yet, before the legacy server has to wait. */
const unfiledLimitBytes = 16 << 20;

/** What is under way in one mailbox, shared by all its FETCHes. */
export interface Arrivals {
  /** Messages that somebody waits for, or that are being spooled. */
  readonly downloads: Map<Uid, Download>;
  /** Messages that are coming in on some connection or wait to be filed: a second copy is let pass by. */
  readonly receiving: Set<Uid>;
  /** Of those, the ones that are whole in memory. */
  readonly unfiled: Map<Uid, Buffer>;
}

export interface Filing {
  readonly sink: BodySink;
  /** Everything that was received is filed and committed when this resolves. */
  finish(): Promise<void>;
}

type Reception =
  | { readonly kind: "ignored" }
  | { readonly kind: "collected"; readonly uid: Uid; readonly chunks: Buffer[]; readonly print?: Print }
  | {
      readonly kind: "spooled";
      readonly uid: Uid;
      readonly spool: SpooledMessage;
      /** Where its length is not the size that was told. */
      readonly print?: Print;
    };

export interface FilingOptions {
  readonly mailbox: MailboxState;
  /** Under whose UIDVALIDITY the messages were asked for: the store refuses them after a reset. */
  readonly record: MailboxRecord;
  readonly arrivals: Arrivals;
  /** Runs before a message is taken: metadata asked for ahead of it are committed there. */
  readonly beforeEach?: () => void;
  /** Somebody waits for the bytes: he gets them though the disk may refuse them. */
  readonly isForClients?: boolean;
  /** A client waits for one that has come, and was not believed, or was cut off. */
  readonly onStillWanted?: (download: Download) => void;
}

export function createFiling(options: FilingOptions): Filing {
  const { mailbox, record, arrivals, beforeEach, isForClients } = options;
  const { downloads, receiving, unfiled } = arrivals;
  const doubts = unbelievedOf(mailbox);
  const newDoubts = new Map<Uid, string>();
  let doubt: { readonly fault: Contradiction; readonly isOfLength: boolean } | undefined;
  let reception: Reception = { kind: "ignored" };
  let batch: MessageToFile[] = [];
  let batched = 0;
  let unfiledBytes = 0;
  const filings = new Set<Promise<void>>();
  let failure: unknown;

  const track = (work: Promise<void>): void => {
    const tracked: Promise<void> = work
      .catch((error: unknown) => {
        if (!isForClients || !(error instanceof StoreTrouble)) failure ??= error;
        else
          mailbox.logger.error(
            { err: error, mailbox: record.name },
            "messages are served without being stored",
          );
      })
      .finally(() => filings.delete(tracked));
    filings.add(tracked);
  };
  const flush = (): void => {
    if (batch.length === 0) return;
    const messages = batch;
    const bytes = batched;
    batch = [];
    batched = 0;
    unfiledBytes += bytes;
    track(
      mailbox.store
        .fileMessages(record, messages)
        .then((files) => mailbox.commitFiles(record, filedOf(messages, files)))
        .finally(() => {
          unfiledBytes -= bytes;
          for (const { meta } of messages) settleArrival(meta.uid);
        }),
    );
  };
  const settleArrival = (uid: Uid): void => {
    receiving.delete(uid);
    unfiled.delete(uid);
    downloads.delete(uid);
  };
  const collect = (uid: Uid, chunks: readonly Buffer[]): void => {
    const bytes = chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
    downloads.get(uid)?.settle(() => contentOf(bytes));
    const meta = knownMeta(mailbox, uid);
    if (!meta) {
      settleArrival(uid);
      return;
    }
    unfiled.set(uid, bytes);
    batch.push({ meta, bytes });
    batched += bytes.length;
    if (batched >= batchBytes) flush();
  };
  /** Nobody is to see it before it has been asked for again. */
  const leaveUnread = (uid: Uid): void => {
    receiving.delete(uid);
    const download = downloads.get(uid);
    if (!isForClients && download) options.onStillWanted?.(download);
  };
  const mayKeep = (uid: Uid, print: Print | undefined, chunks?: readonly Buffer[]): boolean => {
    if (!print) return true;
    const came = print.end();
    const told = knownMeta(mailbox, uid)?.sizeBytes;
    if (isBelieved(came, told, doubts.get(uid))) {
      doubts.delete(uid);
      return true;
    }
    newDoubts.set(uid, came.digest);
    const shown = chunks && contentOf(Buffer.concat(chunks));
    const fault = new Contradiction(uid, otherSize(came, told), shown);
    if (!doubt?.isOfLength) doubt = { fault, isOfLength: came.sizeBytes > 0 };
    return false;
  };
  const finishSpool = async (uid: Uid, spool: SpooledMessage): Promise<void> => {
    try {
      const meta = knownMeta(mailbox, uid);
      downloads.get(uid)?.settle(() => spool.open());
      if (meta) mailbox.commitFiles(record, [{ meta, fileName: await spool.commit(meta) }]);
      else await spool.abort(new Error("the message is not in the mailbox any more"));
    } catch (error) {
      await spool.abort(error);
      throw error;
    } finally {
      settleArrival(uid);
    }
  };
  const room = async (): Promise<void> => {
    while (unfiledBytes > unfiledLimitBytes && failure === undefined) await Promise.race(filings);
    if (failure !== undefined) throw failure;
  };

  const dropSpool = async (uid: Uid, spool: SpooledMessage): Promise<void> => {
    await spool.abort(new MailError("UNAVAILABLE", "the message is not as long as it was said to be"));
    leaveUnread(uid);
  };

  /** undefined where the disk refuses and somebody waits: it is kept in memory. */
  const spoolFor = (uid: Uid, sizeBytes: number): SpooledMessage | undefined => {
    try {
      return mailbox.store.spool(record, uid, sizeBytes);
    } catch (error) {
      if (!isForClients || !(error instanceof StoreTrouble)) throw error;
      return undefined;
    }
  };

  const sink: BodySink = {
    begin(uid, sizeBytes) {
      beforeEach?.();
      const message = mailbox.table.get(uid);
      if (!message || message.presence === "full" || receiving.has(uid)) {
        reception = { kind: "ignored" };
        return;
      }
      const spool = sizeBytes < spoolFromBytes ? undefined : spoolFor(uid, sizeBytes);
      receiving.add(uid);
      const told = message.presence === "remote" ? sizeBytes : message.sizeBytes;
      const doubtful = told === sizeBytes ? {} : { print: createPrint() };
      if (!spool) {
        reception = { kind: "collected", uid, chunks: [], ...doubtful };
        return;
      }
      reception = { kind: "spooled", uid, spool, ...doubtful };
      if (doubtful.print) return;
      const download = downloads.get(uid) ?? createDownload(uid);
      downloads.set(uid, download);
      download.settle(() => spool.open());
    },
    write(chunk) {
      if (reception.kind !== "ignored") reception.print?.add(chunk);
      if (reception.kind === "spooled") return reception.spool.write(chunk);
      if (reception.kind === "collected") reception.chunks.push(chunk);
      return undefined;
    },
    end() {
      const received = reception;
      reception = { kind: "ignored" };
      if (received.kind === "spooled") {
        const { uid, spool, print } = received;
        return mayKeep(uid, print) ? finishSpool(uid, spool) : dropSpool(uid, spool);
      }
      if (received.kind === "collected") {
        const { uid, print, chunks } = received;
        if (mayKeep(uid, print, chunks)) collect(uid, chunks);
        else leaveUnread(uid);
      }
      return unfiledBytes > unfiledLimitBytes || failure !== undefined ? room() : undefined;
    },
    nil(uid) {
      const message = mailbox.table.get(uid);
      if (!message || message.presence === "full" || receiving.has(uid)) return;
      const fault = new Contradiction(uid, "it tells NIL in place of the message", nilContent);
      doubt ??= { fault, isOfLength: false };
    },
    doubt() {
      for (const [uid, digest] of newDoubts) doubts.set(uid, digest);
      return doubt;
    },
  };
  return {
    sink,
    async finish() {
      try {
        if (reception.kind === "collected") leaveUnread(reception.uid);
        else await abandon(reception, arrivals);
      } finally {
        flush();
        await Promise.all(filings);
      }
      if (failure !== undefined) throw failure;
    },
  };
}

/** A message that was cut off in the middle leaves nothing behind. */
async function abandon(reception: Reception, { receiving, downloads }: Arrivals): Promise<void> {
  if (reception.kind === "ignored") return;
  const reason = new MailError("UNAVAILABLE", "the connection to the legacy server was lost");
  receiving.delete(reception.uid);
  downloads.get(reception.uid)?.fail(reason);
  downloads.delete(reception.uid);
  if (reception.kind === "spooled") await reception.spool.abort(reason);
}

function filedOf(messages: readonly MessageToFile[], files: ReadonlyMap<Uid, string>): FiledMessage[] {
  return messages.flatMap(({ meta }) => {
    const fileName = files.get(meta.uid);
    return fileName === undefined ? [] : [{ meta, fileName }];
  });
}

function knownMeta(mailbox: MailboxState, uid: Uid): MessageMeta | undefined {
  const message = mailbox.table.get(uid);
  return message && message.presence !== "remote" ? message : undefined;
}
