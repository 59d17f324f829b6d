/** Collects what stands between an account and `complete` from what knows of it. */
import { withoutAccepted } from "./accepted-uidls.ts";
import { fewUidsLeft } from "./few-uids.ts";
import type { Hindrance } from "./hindrance.ts";
import { acceptedOf, lastAccepted } from "./left-behind.ts";
import { putAsideIn } from "./losses.ts";
import { isShownAnew } from "./lost-messages.ts";
import { doubtsOf } from "./mailbox-doubts.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import type { Mirror } from "./mirror.ts";
import { shownValidities } from "./shown-validities.ts";
import { isUnused, shutOf } from "./shut-mailbox.ts";

export async function hindrancesIn(mirror: Mirror): Promise<readonly Hindrance[]> {
  const ofMailboxes = (await mirror.all()).flatMap(hindrancesOf);
  if (!mirror.maildrop) return ofMailboxes;
  const { store } = mirror;
  const ofMaildrop = withoutAccepted(store, store.maildrop.unmatched()).map(
    ({ uidl, sizeBytes, problem }): Hindrance => ({
      kind: "maildrop",
      uidl,
      sizeBytes,
      reason: problem ?? "",
    }),
  );
  return [...ofMailboxes, ...ofMaildrop];
}

export function hindrancesOf({ state }: Pick<MailboxMirror, "state">): readonly Hindrance[] {
  const { store, record, problem, isTransient, brake } = state;
  const where = { mailbox: record.name, place: `${record.id}:${record.uidValidity}` };
  const found: Hindrance[] = [];
  if (problem !== undefined)
    found.push({ kind: isShownAnew(state) ? "others" : "mailbox", ...where, reason: problem });
  if (isTransient && !shownValidities(store).hasForNone(record.id)) found.push({ kind: "unkept", ...where });
  const left = fewUidsLeft(store, record);
  if (left !== undefined) found.push({ kind: "numbers", ...where, left });
  const shut = shutOf(state);
  if (shut && acceptedOf(state) === undefined) {
    const { reason, tries, there } = shut;
    const acceptedAt = lastAccepted(state)?.at;
    const told = { messages: there?.messages, isUnused: there !== undefined && isUnused(there) };
    found.push({ kind: "shut", ...where, acceptedAt, reason, tries, ...told });
  }
  const { absence, isHeld, gap } = doubtsOf(state);
  if (absence !== undefined) found.push({ kind: "missing", ...where, reason: absence, isHeld });
  if (gap !== undefined) found.push({ kind: "listing", ...where, reason: gap.reason });
  if (brake.held.length > 0) found.push({ kind: "deletions", ...where, uids: brake.held });
  for (const [uid, { reason, tries }] of putAsideIn(state))
    found.push({ kind: "message", ...where, uid, reason, tries });
  return found;
}
