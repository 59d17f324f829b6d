/**
 * HIGHESTMODSEQ at the legacy server is brought above ours before clients return to it (RFC 7162): what they ask
 * for since theirs must not leave out what changes there from now on.
 */
import type { MailboxLease } from "../legacy/source.ts";
import type { ModSeq, Uid } from "../mail/ids.ts";
import { uidSetOf } from "../mail/number-set.ts";
import type { MailboxRecord } from "../store/store.ts";
import { withPlaceholder } from "./placeholders.ts";

/** One change raises it by one; a mailbox that is further behind goes on being counted here. */
const maxChanges = 20_000;
const changesAtOnce = 50;

/**
 * `none`: the server has none. `behind`: it cannot be done. `empty`: a message would have to be added for it, which
 * takes a UID.
 */
export type Raised = "theirs" | "none" | "behind" | "empty";

/** On a mailbox that was selected just now. `isLast`: UIDs may be used up. */
export async function raiseModSeq(
  lease: MailboxLease,
  { name, highestModSeq }: Pick<MailboxRecord, "name" | "highestModSeq">,
  isLast: boolean,
): Promise<Raised> {
  const { highestModSeq: there, exists } = lease.examined;
  if (there === undefined) return "none";
  if (there >= highestModSeq) return "theirs";
  if (highestModSeq - there > BigInt(maxChanges)) return "behind";
  const raise = (on: Uid): Promise<Raised> => raiseOn(lease, on, there, highestModSeq);
  const last = exists === 0 ? undefined : (await lease.listUids()).at(-1);
  if (last !== undefined) return raise(last);
  return isLast ? withPlaceholder(lease, name, raise) : "empty";
}

async function raiseOn(lease: MailboxLease, on: Uid, from: ModSeq, wanted: ModSeq): Promise<Raised> {
  let there: bigint = from;
  while (there < wanted) {
    const before = there;
    await toggle(lease, on, Math.min(changesAtOnce, Math.ceil(Number(wanted - there) / 2)));
    there = (await lease.examineAgain()).highestModSeq ?? 0n;
    if (there <= before) return "behind";
  }
  return "theirs";
}

/** And back: the message ends as it was. */
async function toggle(lease: MailboxLease, on: Uid, times: number): Promise<void> {
  let isFlagged = false;
  await lease.fetchFlags(uidSetOf([on]), ({ flags }) => {
    isFlagged = flags.includes("\\Flagged");
  });
  const kinds = isFlagged ? (["remove", "add"] as const) : (["add", "remove"] as const);
  const changes = Array.from({ length: times }, () => kinds).flat();
  await Promise.all(
    changes.map((kind) => lease.store(uidSetOf([on]), { kind, flags: ["\\Flagged"] }, () => undefined)),
  );
}
