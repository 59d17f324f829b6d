/** Messages of an old POP3 server on their way into a mailbox: small ones in memory, a big one on disk. */
import { isLasting } from "../errors.ts";
import type { Pop3Session } from "../legacy/pop3-client.ts";
import { headerPrint } from "../mail/header-print.ts";
import type { MessageContent } from "../mail/message.ts";
import { contentOf } from "../mail/message-content.ts";
import type { IncomingMessage } from "../mail/new-message.ts";
import { headerOf } from "../mail/read-header.ts";
import { receivedDate } from "../mail/received-date.ts";
import type { MaildropEntry } from "../store/maildrop-table.ts";
import type { AccountStore } from "../store/store.ts";
import type { Addition } from "./add-local-messages.ts";
import { now } from "./local-authority.ts";
import type { ListedMessage } from "./maildrop-listing.ts";
import { createPop3Print, type Pop3Answer } from "./pop3-print.ts";

export type Retrieved =
  | {
      readonly kind: "whole";
      readonly entry: MaildropEntry;
      readonly addition: Addition;
      /** See MaildropEntry. */
      readonly print: string;
      readonly answer: Pop3Answer;
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
    const { content, answer, discard } = await received(store, session, number);
    const header = await headerOf(content).catch((error: unknown) => {
      discard();
      throw error;
    });
    const internalDate = receivedDate(header) ?? now();
    const { sizeBytes } = content;
    return {
      kind: "whole",
      entry,
      addition: { flags: [], internalDate, sizeBytes, bytes: { content } },
      print: headerPrint(header).hash,
      answer,
      discard,
    };
  } catch (error) {
    if (!isLasting(error)) throw error;
    return { kind: "refused", entry, problem: `the old server does not give it: ${error.message}` };
  }
}

interface Bytes {
  readonly content: MessageContent;
  readonly answer: Pop3Answer;
  readonly discard: () => void;
}

/** However long LIST says it is. */
async function received(store: AccountStore, session: Pop3Session, number: number): Promise<Bytes> {
  const pieces: Buffer[] = [];
  const print = createPop3Print();
  let sizeBytes = 0;
  let incoming: IncomingMessage | undefined;
  const take = (bytes: Buffer): undefined | Promise<void> => {
    sizeBytes += bytes.length;
    print.add(bytes);
    if (incoming) return incoming.write(Buffer.from(bytes));
    pieces.push(Buffer.from(bytes));
    if (sizeBytes < spoolFromBytes) return undefined;
    incoming = store.receive(Number.MAX_SAFE_INTEGER);
    return incoming.write(Buffer.concat(pieces.splice(0)));
  };
  try {
    await session.retrieve(number, take);
    const answer = print.end();
    if (!incoming) return { content: contentOf(Buffer.concat(pieces)), answer, discard: () => undefined };
    return { ...spooled(incoming, sizeBytes), answer };
  } catch (error) {
    incoming?.discard();
    throw error;
  }
}

function spooled(incoming: IncomingMessage, sizeBytes: number): Omit<Bytes, "answer"> {
  const all = incoming.open();
  const content: MessageContent = {
    sizeBytes,
    read: (start, end) => all.read(start, Math.min(end, sizeBytes)),
    close: () => all.close(),
  };
  const discard = (): void => {
    all.close();
    incoming.discard();
  };
  return { content, discard };
}
