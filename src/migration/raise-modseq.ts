/**
 * HIGHESTMODSEQ at the legacy server is brought above ours before clients return to it (RFC 7162): what they ask
 * for since theirs must not leave out what changes there from now on.
 */
import type { MailboxLease } from "../legacy/source.ts";
import type { Uid } from "../mail/ids.ts";
import { uidSetOf } from "../mail/number-set.ts";
import type { MailboxRecord } from "../store/store.ts";
import { addPlaceholder } from "./placeholders.ts";

/** One change raises it by one; a mailbox that is further behind goes on being counted here. */
const maxChanges = 20_000;
const changesAtOnce = 50;

/**
 * `none`: the server has none. `behind`: it cannot be done. `empty`: a message would have to be added for it, which
 * takes a UID.
 */
export type Raised = "theirs" | "none" | "behind" | "empty";

/** `isLast`: UIDs may be used up. */
export async function raiseModSeq(
  lease: MailboxLease,
  { name, highestModSeq }: Pick<MailboxRecord, "name" | "highestModSeq">,
  isLast: boolean,
): Promise<Raised> {
  const told = await lease.examineAgain();
  if (told.highestModSeq === undefined) return "none";
  let there: bigint = told.highestModSeq;
  if (there >= highestModSeq) return "theirs";
  if (highestModSeq - there > BigInt(maxChanges)) return "behind";
  const [last] = (await lease.listUids()).slice(-1);
  if (last === undefined && !isLast) return "empty";
  if (last === undefined) await addPlaceholder(lease, name);
  const on = last ?? (await lease.listUids()).at(-1);
  if (on === undefined) return "behind";
  for (let before = there; there < highestModSeq; before = there) {
    await toggle(lease, on, Math.min(changesAtOnce, Math.ceil(Number(highestModSeq - there) / 2)));
    there = (await lease.examineAgain()).highestModSeq ?? 0n;
    if (there <= before) break;
  }
  if (last === undefined) {
    await lease.store(uidSetOf([on]), { kind: "add", flags: ["\\Deleted"] }, () => undefined);
    await lease.expunge(lease.capabilities.has("UIDPLUS") ? uidSetOf([on]) : undefined);
  }
  return there >= highestModSeq ? "theirs" : "behind";
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
