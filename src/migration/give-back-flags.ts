/** Rollback: messages get the flags there that they have here. */
import { isLasting } from "../errors.ts";
import type { MailboxLease } from "../legacy/source.ts";
import { isSystemFlag } from "../mail/flags.ts";
import type { Uid } from "../mail/ids.ts";
import { formatNumberSet, uidSetOf } from "../mail/number-set.ts";
import type { Progress } from "./give-back-mailbox.ts";
import { flagChanges, type GiveBackPlan } from "./give-back-plan.ts";

/** Without PERMANENTFLAGS all can be kept (RFC 3501 7.1). */
export function permitted(
  permanentFlags: readonly string[],
  lostKeywords: ReadonlySet<string>,
): (flag: string) => boolean {
  const named = new Set(permanentFlags.map((flag) => flag.toLowerCase()));
  return (flag) => {
    if (lostKeywords.has(flag)) return false;
    if (named.size === 0) return true;
    return named.has(flag.toLowerCase()) || (named.has("\\*") && !isSystemFlag(flag));
  };
}

/** A keyword that the server refuses, or forgets at once, is lost there: that is told, and the rest goes on. */
export async function giveFlags(
  lease: MailboxLease,
  plan: GiveBackPlan,
  isPermitted: (flag: string) => boolean,
  progress: Progress,
): Promise<{ readonly count: number; readonly uids: readonly Uid[] }> {
  for (const { message } of plan.pairs)
    for (const flag of message.flags) if (!isPermitted(flag)) progress.lostKeywords.add(flag);
  const uids: Uid[] = [];
  const tried = new Set<string>();
  let count = 0;
  for (const change of flagChanges(plan, isPermitted)) {
    const set = uidSetOf(change.uids);
    const key = `${change.kind} ${change.flag} ${formatNumberSet(set)}`;
    const isKept = progress.tried.has(key) ? "no" : await tryFlag(lease, change);
    if (isKept === "no") {
      progress.lostKeywords.add(change.flag);
      continue;
    }
    if (!isSystemFlag(change.flag)) tried.add(key);
    uids.push(...change.uids);
    count++;
  }
  progress.tried = tried;
  return { count, uids };
}

async function tryFlag(
  lease: MailboxLease,
  { kind, flag, uids }: ReturnType<typeof flagChanges>[number],
): Promise<"yes" | "no"> {
  try {
    await lease.store(uidSetOf(uids), { kind, flags: [flag] }, () => undefined);
    return "yes";
  } catch (error) {
    if (!isLasting(error) || isSystemFlag(flag)) throw error;
    return "no";
  }
}
