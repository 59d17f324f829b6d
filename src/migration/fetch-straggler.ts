/**
 * One message of a legacy server that does not have the last word any more, whole, on our disk. It is held against the
 * size that is told of it as any other (contradiction.ts): nobody would ask for it again.
 */
import { MailError } from "../errors.ts";
import type { BodySink, MailboxLease } from "../legacy/source.ts";
import { type Flags, noFlags } from "../mail/flags.ts";
import type { MailboxId, Uid } from "../mail/ids.ts";
import type { InternalDate } from "../mail/internal-date.ts";
import type { IncomingMessage } from "../mail/new-message.ts";
import { uidSetOf } from "../mail/number-set.ts";
import { readHeader } from "../mail/read-header.ts";
import { receivedDate } from "../mail/received-date.ts";
import type { AccountStore } from "../store/store.ts";
import { Contradiction, createPrint, isBelieved, otherSize } from "./contradiction.ts";
import { now } from "./local-authority.ts";

export interface Straggler {
  readonly flags: Flags;
  readonly internalDate: InternalDate;
  readonly incoming: IncomingMessage;
}

/** Of what came and was not believed, the digest: by mailbox, UIDVALIDITY and UID there. */
const doubted = new WeakMap<AccountStore, Map<string, string>>();

function doubtsOf(store: AccountStore): Map<string, string> {
  const found = doubted.get(store) ?? new Map<string, string>();
  doubted.set(store, found);
  return found;
}

/**
 * undefined where it is there no more. Throws where it is, and cannot be had: Contradiction where it is not what is told
 * of it, so that it is asked for again on another connection.
 */
export async function fetchStraggler(
  store: AccountStore,
  mailbox: MailboxId,
  lease: MailboxLease,
  wanted: Uid,
): Promise<Straggler | undefined> {
  const told = await toldOf(lease, wanted);
  const doubt = { doubts: doubtsOf(store), key: `${mailbox}:${lease.examined.uidValidity}:${wanted}` };
  const receiving = createReceiving(store, wanted, told.sizeBytes, doubt);
  try {
    await lease.fetchBodies(uidSetOf([wanted]), receiving.sink);
    const incoming = receiving.whole();
    if (incoming) {
      const { flags = noFlags } = told;
      return { flags, internalDate: told.internalDate ?? (await dateOf(incoming)), incoming };
    }
  } catch (error) {
    receiving.discard();
    throw error;
  }
  receiving.discard();
  if ((await lease.listUids()).includes(wanted))
    throw new MailError("UNAVAILABLE", `The old server does not give UID ${wanted}, which it has`);
  return undefined;
}

interface Told {
  flags?: Flags;
  internalDate?: InternalDate;
  sizeBytes?: number;
}

/** Of what some do not tell the text says it. */
async function toldOf(lease: MailboxLease, wanted: Uid): Promise<Told> {
  const told: Told = {};
  await lease.fetchPartly(uidSetOf([wanted]), ["FLAGS", "INTERNALDATE", "RFC822.SIZE"], (uid, part) => {
    if (uid === wanted) Object.assign(told, part);
  });
  return told;
}

async function dateOf(incoming: IncomingMessage): Promise<InternalDate> {
  return receivedDate(await readHeader(incoming.open())) ?? now();
}

interface Receiving {
  readonly sink: BodySink;
  /** Once all of it has come. */
  whole(): IncomingMessage | undefined;
  discard(): void;
}

function createReceiving(
  store: AccountStore,
  wanted: Uid,
  told: number | undefined,
  { doubts, key }: { readonly doubts: Map<string, string>; readonly key: string },
): Receiving {
  const print = createPrint();
  let incoming: IncomingMessage | undefined;
  let isWhole = false;
  let fault: Contradiction | undefined;
  const judge = (): void => {
    const came = print.end();
    isWhole = isBelieved(came, told, doubts.get(key));
    if (isWhole) {
      doubts.delete(key);
      return;
    }
    doubts.set(key, came.digest);
    fault = new Contradiction(wanted, otherSize(came, told), undefined);
  };
  return {
    sink: {
      begin(_, sizeBytes) {
        incoming = store.receive(sizeBytes);
      },
      write(chunk) {
        print.add(chunk);
        return incoming?.write(chunk);
      },
      end() {
        judge();
        return undefined;
      },
      doubt: () => fault && { fault, isOfLength: true },
    },
    whole: () => (isWhole ? incoming : undefined),
    discard: () => incoming?.discard(),
  };
}
