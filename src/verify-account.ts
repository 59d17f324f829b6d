/**
 * The proof that an account is the same on both sides: its mailboxes, subscriptions and maildrop, whatever of them the
 * legacy server has.
 */
import type { FirstVerdict } from "./migration/cutover.ts";
import { fetchAnew } from "./migration/fetch-anew.ts";
import { isLeftBehind } from "./migration/left-behind.ts";
import type { Mirror } from "./migration/mirror.ts";
import { type OperatorWord, operatorWords } from "./migration/operator-words.ts";
import { type MailboxVerdict, verifyDifferences, verifyMailboxes } from "./migration/verify.ts";
import { type MaildropVerdict, verifyMaildrop } from "./migration/verify-maildrop.ts";
import { type SubscriptionsVerdict, verifySubscriptions } from "./migration/verify-subscriptions.ts";
import type { LegacySources } from "./open-account.ts";

export interface AccountVerdict {
  readonly equal: boolean;
  /** Of so many percent of the messages, chosen at random, the bytes were compared. */
  readonly samplePercent: number;
  /** None where the legacy server has POP3 only. */
  readonly mailboxes: readonly MailboxVerdict[];
  /** Where it has IMAP. */
  readonly subscriptions?: SubscriptionsVerdict | undefined;
  /** Where it has POP3. */
  readonly maildrop?: MaildropVerdict | undefined;
  /** What operators have accepted or refused; it is not compared. */
  readonly decisions?: readonly OperatorWord[] | undefined;
}

export interface VerifyRequest {
  readonly signal: AbortSignal;
  readonly samplePercent?: number | undefined;
  readonly onMailbox?: (verdict: MailboxVerdict) => void;
}

/** What differs is looked at again, since people go on working meanwhile. */
export async function verifyAccount(
  mirror: Mirror,
  { imap, pop3 }: LegacySources,
  { signal, samplePercent = 100, onMailbox }: VerifyRequest,
): Promise<AccountVerdict> {
  const { store } = mirror;
  const common = { store, signal, samplePercent };
  const without = (await mirror.all()).filter(({ state }) => isLeftBehind(state));
  const mailboxes = imap
    ? await verifyMailboxes({
        ...common,
        source: imap,
        leftOut: new Set(without.map(({ state }) => state.record.name)),
        resync: async (name) => (await mirror.mailbox(name, signal)).sync(signal),
        fetchAnew: async (name, uids) => fetchAnew((await mirror.mailbox(name, signal)).state, uids, signal),
        ...(onMailbox && { onMailbox }),
      })
    : undefined;
  const subscriptions =
    imap &&
    (await verifySubscriptions({
      ...common,
      source: imap,
      resync: async () => void (await mirror.listing(signal)),
    }));
  const maildrop =
    pop3 &&
    (await verifyMaildrop({
      ...common,
      source: pop3,
      bytesPercent: imap ? 0 : samplePercent,
      resync: async () => void (await mirror.pull(signal)),
    }));
  const words = operatorWords(store);
  return verdictOf({
    samplePercent,
    mailboxes: mailboxes?.mailboxes ?? [],
    subscriptions,
    maildrop,
    ...(words.length > 0 && { decisions: words }),
  });
}

/** Whether what differed still does: both sides have come to rest. */
export async function verifyAgain(
  verdict: AccountVerdict,
  { store }: Mirror,
  { imap, pop3 }: LegacySources,
  signal: AbortSignal,
): Promise<AccountVerdict> {
  const resync = async (): Promise<void> => undefined;
  const common = { store, signal, resync };
  const mailboxes = imap && (await verifyDifferences(verdict, { ...common, source: imap }));
  const subscriptions =
    imap && verdict.subscriptions?.differences.length !== 0
      ? await verifySubscriptions({ ...common, source: imap })
      : verdict.subscriptions;
  const maildrop =
    pop3 && verdict.maildrop?.differences.length !== 0
      ? await verifyMaildrop({ ...common, source: pop3, bytesPercent: imap ? 0 : 100 })
      : verdict.maildrop;
  return verdictOf({
    samplePercent: verdict.samplePercent,
    mailboxes: mailboxes?.mailboxes ?? [],
    subscriptions,
    maildrop,
  });
}

function verdictOf(parts: Omit<AccountVerdict, "equal">): AccountVerdict {
  return { equal: differencesOf(parts).length === 0, ...parts };
}

/** One line each, for people. */
export function differencesOf({
  mailboxes,
  subscriptions,
  maildrop,
}: Omit<AccountVerdict, "equal">): readonly string[] {
  const ofMailboxes = mailboxes.flatMap(({ name, differences }) =>
    differences.map((one) => `${name}${"uid" in one ? ` UID ${one.uid}` : ""}: ${one.kind}: ${one.detail}`),
  );
  const ofSubscriptions = (subscriptions?.differences ?? []).map(({ name, detail }) => `${name}: ${detail}`);
  const ofMaildrop = (maildrop?.differences ?? []).map(
    ({ uidl, detail }) => `POP3 (UIDL ${uidl}): ${detail}`,
  );
  return [...ofMailboxes, ...ofSubscriptions, ...ofMaildrop];
}

/** For a cutover, which looks again itself. */
export async function firstVerdict(
  mirror: Mirror,
  sources: LegacySources,
  request: VerifyRequest,
): Promise<FirstVerdict> {
  const verdict = await verifyAccount(mirror, sources, request);
  return {
    differences: differencesOf(verdict),
    again: async (signal) => differencesOf(await verifyAgain(verdict, mirror, sources, signal)),
  };
}
