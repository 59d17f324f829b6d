/**
 * What the legacy server sends of a message, held against the size that it tells of it. Bytes are believed
 * - where they agree with that size, be lines counted with CR LF, with LF, or as they are,
 * - else where they have come a second time, the same, on another connection: then it is the size that is wrong.
 *   Nothing at all, or less than half of it, proves nothing, however often it comes.
 */
import { createHash } from "node:crypto";
import { ServerFault } from "../legacy/server-fault.ts";
import type { Uid } from "../mail/ids.ts";
import type { MessageContent } from "../mail/message.ts";
import type { MailboxState } from "./mailbox-state.ts";

/** A message is not what the legacy server says of it. */
export class Contradiction extends ServerFault {
  readonly uid: Uid;
  /** What came, where it is not too long to be kept in mind: clients are shown it, since they would see it there, too. */
  readonly shown: MessageContent | undefined;

  constructor(uid: Uid, reason: string, shown: MessageContent | undefined) {
    super(reason);
    this.uid = uid;
    this.shown = shown;
  }
}

/** Of bytes, as they come. */
export interface Print {
  add(chunk: Buffer): void;
  end(): Printed;
}

export interface Printed {
  readonly digest: string;
  readonly sizeBytes: number;
  readonly agreesWith: (told: number) => boolean;
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;

export function createPrint(): Print {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  let bareLineFeeds = 0;
  let lineEnds = 0;
  let last = 0;
  return {
    add(chunk) {
      hash.update(chunk);
      sizeBytes += chunk.length;
      for (let at = chunk.indexOf(lineFeed); at >= 0; at = chunk.indexOf(lineFeed, at + 1)) {
        if ((at === 0 ? last : chunk[at - 1]) === carriageReturn) lineEnds++;
        else bareLineFeeds++;
      }
      last = chunk.at(-1) ?? last;
    },
    end: () => ({
      digest: hash.digest("hex"),
      sizeBytes,
      agreesWith: (told) =>
        told === sizeBytes || told === sizeBytes + bareLineFeeds || told === sizeBytes - lineEnds,
    }),
  };
}

/** `told`: the size, where that is known; `before`: the digest of what was not believed the last time. */
export function isBelieved(
  { digest, sizeBytes, agreesWith }: Printed,
  told: number | undefined,
  before: string | undefined,
): boolean {
  if (told === undefined || agreesWith(told)) return true;
  return before === digest && !isMerePart(sizeBytes, told);
}

export function otherSize({ sizeBytes }: Printed, told: number | undefined): string {
  return `its size is said to be ${told} bytes, and ${sizeBytes} came`;
}

/** Sizes are estimated by some servers (Exchange), and 0 with others; none is off by more than that. */
export function isMerePart(sizeBytes: number, told = 0): boolean {
  return sizeBytes === 0 || sizeBytes < told / 2;
}

/** The digest of what came of a message when it was not believed; for as long as the mailbox is open. */
const unbelieved = new WeakMap<MailboxState, Map<Uid, string>>();

export function unbelievedOf(mailbox: MailboxState): Map<Uid, string> {
  const found = unbelieved.get(mailbox) ?? new Map<Uid, string>();
  unbelieved.set(mailbox, found);
  return found;
}
