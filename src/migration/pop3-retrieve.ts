/** Messages of an old POP3 server on their way into a mailbox: small ones in memory, a big one on disk. */
import { isUnavailable, MailError } from "../errors.ts";
import type { Pop3Session } from "../legacy/pop3-client.ts";
import type { MessageContent } from "../mail/message.ts";
import { contentOf } from "../mail/message-content.ts";
import { headerOf } from "../mail/read-header.ts";
import { receivedDate } from "../mail/received-date.ts";
import type { MaildropEntry } from "../store/maildrop-table.ts";
import type { AccountStore } from "../store/store.ts";
import { now } from "./local-authority.ts";
import type { Addition } from "./local-messages.ts";
import type { ListedMessage } from "./maildrop-mirror.ts";

export type Retrieved =
  | {
      readonly kind: "whole";
      readonly entry: MaildropEntry;
      readonly addition: Addition;
      readonly discard: () => void;
    }
  | { readonly kind: "refused"; readonly entry: MaildropEntry; readonly problem: string };

export interface Retrieval {
  /** In order, as far as the connection lasted. */
  readonly retrieved: readonly Retrieved[];
  readonly failure: unknown;
}

/** From this size on a message is not held in memory. */
const spoolFromBytes = 1 << 20;

export async function retrieveAll(
  store: AccountStore,
  session: Pop3Session,
  messages: readonly ListedMessage[],
): Promise<Retrieval> {
  const outcomes = await Promise.allSettled(messages.map((message) => retrieve(store, session, message)));
  const retrieved: Retrieved[] = [];
  let failure: unknown;
  for (const outcome of outcomes) {
    if (outcome.status === "rejected") failure ??= outcome.reason;
    // UIDs follow the maildrop's order: what came behind a gap is fetched again.
    else if (failure === undefined) retrieved.push(outcome.value);
    else discardAll([outcome.value]);
  }
  return { retrieved, failure };
}

export function discardAll(retrieved: readonly Retrieved[]): void {
  for (const one of retrieved) if (one.kind === "whole") one.discard();
}

async function retrieve(
  store: AccountStore,
  session: Pop3Session,
  { number, entry }: ListedMessage,
): Promise<Retrieved> {
  try {
    const { content, discard } =
      entry.sizeBytes < spoolFromBytes
        ? await inMemory(session, number)
        : ((await spooled(store, session, number, entry.sizeBytes)) ?? (await inMemory(session, number)));
    const internalDate = receivedDate(await headerOf(content)) ?? now();
    const { sizeBytes } = content;
    return {
      kind: "whole",
      entry,
      addition: { flags: [], internalDate, sizeBytes, bytes: { content } },
      discard,
    };
  } catch (error) {
    if (isUnavailable(error) || !(error instanceof MailError)) throw error;
    return { kind: "refused", entry, problem: `the old server does not give it: ${error.message}` };
  }
}

interface Bytes {
  readonly content: MessageContent;
  readonly discard: () => void;
}

async function inMemory(session: Pop3Session, number: number): Promise<Bytes> {
  const pieces: Buffer[] = [];
  await session.retrieve(number, (bytes) => void pieces.push(Buffer.from(bytes)) as undefined);
  return { content: contentOf(Buffer.concat(pieces)), discard: () => undefined };
}

/** undefined where the message is not as long as LIST has told. */
async function spooled(
  store: AccountStore,
  session: Pop3Session,
  number: number,
  sizeBytes: number,
): Promise<Bytes | undefined> {
  const incoming = store.receive(sizeBytes);
  let writtenBytes = 0;
  try {
    await session.retrieve(number, (bytes) => {
      writtenBytes += bytes.length;
      return writtenBytes > sizeBytes ? undefined : incoming.write(Buffer.from(bytes));
    });
  } catch (error) {
    incoming.discard();
    throw error;
  }
  if (writtenBytes !== sizeBytes) {
    incoming.discard();
    return undefined;
  }
  const content = incoming.open();
  const discard = (): void => {
    content.close();
    incoming.discard();
  };
  return { content, discard };
}
