/**
 * Messages that are here, and of which the old server gives something else at each look: one side was told wrong once.
 * Each is fetched twice, on two connections. What is here is replaced only where both agree with each other, and with
 * the size that the server tells: it may lie now, and have told the truth before.
 */
import { MailError } from "../errors.ts";
import type { BodySink, MailboxLease } from "../legacy/source.ts";
import type { Uid } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import { uidSetOf } from "../mail/number-set.ts";
import type { MailboxRecord, SpooledMessage } from "../store/store.ts";
import { createPrint } from "./contradiction.ts";
import type { MailboxState } from "./mailbox-state.ts";

/** So many of one mailbox: where more differ it is no slip of the server's. */
const maxMessages = 200;

export async function fetchAnew(
  mailbox: MailboxState,
  uids: readonly Uid[],
  signal: AbortSignal,
): Promise<void> {
  const { record, logger } = mailbox;
  for (const uid of uids.slice(0, maxMessages)) {
    signal.throwIfAborted();
    try {
      const isReplaced = await fetchOne(mailbox, record, uid, signal);
      if (isReplaced)
        logger.warn({ mailbox: record.name, uid }, "a message was fetched anew: it was another");
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof MailError)) throw error;
      logger.warn({ err: error, mailbox: record.name, uid }, "a message could not be fetched anew");
    }
  }
}

interface Told {
  readonly meta: MessageMeta;
  readonly digest: string;
  /** What came is as long as the server says. */
  readonly isWhole: boolean;
}

async function fetchOne(
  mailbox: MailboxState,
  record: MailboxRecord,
  uid: Uid,
  signal: AbortSignal,
): Promise<boolean> {
  if (mailbox.isLocal || mailbox.table.get(uid)?.presence !== "full") return false;
  const first = await tell(mailbox, uid, signal, leavingConnection());
  if (!first?.isWhole) return false;
  let spool: SpooledMessage | undefined;
  const kept: Keeping = {
    begin: (sizeBytes) => {
      spool = mailbox.store.spool(record, uid, sizeBytes);
    },
    write: (chunk) => spool?.write(chunk),
  };
  try {
    const second = await tell(mailbox, uid, signal, kept);
    if (!second?.isWhole || !spool || !isSame(first, second)) return false;
    const whole = spool;
    const isReplaced = await mailbox.exclusive(() => replace(mailbox, record, second.meta, whole));
    if (isReplaced) spool = undefined;
    return isReplaced;
  } finally {
    await spool?.abort(new MailError("UNAVAILABLE", "the message is not replaced"));
  }
}

function isSame(one: Told, other: Told): boolean {
  const [a, b] = [one.meta.internalDate, other.meta.internalDate];
  const isDated = a.epochSeconds === b.epochSeconds && a.zoneMinutes === b.zoneMinutes;
  return isDated && one.meta.sizeBytes === other.meta.sizeBytes && one.digest === other.digest;
}

interface Keeping {
  readonly begin?: (sizeBytes: number) => void;
  readonly write?: (chunk: Buffer) => undefined | Promise<void>;
  /** What is thrown when all has come; the connection is closed by that. */
  readonly parting?: MailError;
}

/** The next time it is asked for on another connection. */
function leavingConnection(): Keeping {
  return { parting: new MailError("UNAVAILABLE", "the message is asked for on another connection") };
}

/** undefined where it is not there, or under another UIDVALIDITY. */
async function tell(
  { source, record }: MailboxState,
  uid: Uid,
  signal: AbortSignal,
  keeping: Keeping,
): Promise<Told | undefined> {
  let meta: MessageMeta | undefined;
  const print = createPrint();
  let isOver = false;
  const sink: BodySink = {
    begin: (_, sizeBytes) => keeping.begin?.(sizeBytes),
    write(chunk) {
      print.add(chunk);
      return keeping.write?.(chunk);
    },
    end() {
      isOver = true;
      return undefined;
    },
    doubt: () => keeping.parting && { fault: keeping.parting, isOfLength: true },
  };
  const read = async (lease: MailboxLease): Promise<void> => {
    if (lease.examined.uidValidity !== record.uidValidity) return;
    await lease.fetchMeta(uidSetOf([uid]), (told) => {
      if (told.uid === uid) meta = told;
    });
    await lease.fetchBodies(uidSetOf([uid]), sink);
  };
  try {
    await source.useMailbox(record.name, { priority: "background", signal }, read);
  } catch (error) {
    if (error !== keeping.parting) throw error;
  }
  if (!meta || !isOver) return undefined;
  const { digest, agreesWith } = print.end();
  return { meta, digest, isWhole: agreesWith(meta.sizeBytes) };
}

/** A kill in between leaves a message that is not here: it is fetched as any other. */
async function replace(
  mailbox: MailboxState,
  asked: MailboxRecord,
  meta: MessageMeta,
  spool: SpooledMessage,
): Promise<boolean> {
  const { store, record, table } = mailbox;
  if (mailbox.isLocal || record.uidValidity !== asked.uidValidity) return false;
  if (table.get(meta.uid)?.presence !== "full") return false;
  // What was here may have been the right one.
  store.setAside(record, [meta.uid]);
  mailbox.commitForgotten([meta.uid]);
  await store.removeMessages(record, [meta.uid]);
  mailbox.commitMeta(record, [meta]);
  const known = table.get(meta.uid);
  if (known?.presence !== "meta") return false;
  mailbox.commitFiles(record, [{ meta: known, fileName: await spool.commit(known) }]);
  return true;
}
