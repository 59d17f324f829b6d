import type { OpenMailbox } from "../account/account.ts";
import { unreachable } from "../errors.ts";
import type { Uid } from "../mail/ids.ts";
import { formatNumberSet, lowerBound, uidSetOf } from "../mail/number-set.ts";
import type { Output } from "../wire/output.ts";
import { formatModSeq } from "./condstore.ts";
import { formatList, untagged } from "./formatter.ts";
import type { Selected } from "./state.ts";
import type { Notice } from "./view.ts";

/** Written before others get their turn, and the client time to read. */
const noticesAtOnce = 500;

/** Tells the client what happened to its mailbox (RFC 3501 7.3, 7.4); expunges only where permitted. */
export async function writeNotices(
  state: Selected,
  output: Output,
  options: { readonly expunges: boolean },
): Promise<void> {
  const { view } = state;
  writeNewFlagNames(state, output);
  const recentBefore = options.expunges && view.hasExpunged ? countRecent(state) : undefined;
  const notices = view.takeNotices(options);
  if (state.enabled.qresync) writeVanished(notices, output);
  for (const [index, notice] of notices.entries()) {
    output.write(formatNotice(state, notice));
    if (index % noticesAtOnce === 0) await output.flushed();
  }
  await output.flushed();
  // With EXISTS it was told already.
  const toldRecent = notices.some((notice) => notice.kind === "exists");
  if (recentBefore === undefined || toldRecent) return;
  const recent = countRecent(state);
  if (recent !== recentBefore) output.write(untagged(`${recent} RECENT`));
}

/** FLAGS and PERMANENTFLAGS (RFC 3501 7.2.6, 7.1), at SELECT and ahead of the first message with a new keyword. */
export function writeFlags(
  { flags, permanentFlags, readOnly }: Pick<OpenMailbox, "flags" | "permanentFlags" | "readOnly">,
  output: Output,
): void {
  output.write(untagged(`FLAGS ${formatList(flags)}`));
  const permanent = readOnly
    ? "OK [PERMANENTFLAGS ()] Read-only mailbox."
    : `OK [PERMANENTFLAGS ${formatList(permanentFlags)}] Flags permitted.`;
  output.write(untagged(permanent));
}

function writeNewFlagNames({ mailbox, readOnly, told }: Selected, output: Output): void {
  const { flags, permanentFlags } = mailbox;
  if (flags === told.flags) return;
  const known = new Set(told.flags);
  if (flags.every((name) => known.has(name))) return;
  told.flags = flags;
  writeFlags({ flags, permanentFlags, readOnly }, output);
}

/** FLAGS of a message as this session sees them; undefined when it was expunged meanwhile. */
export function formatFlags({ mailbox }: Pick<Selected, "mailbox">, uid: Uid): string | undefined {
  const flags = mailbox.flagsOf(uid);
  if (!flags) return undefined;
  return formatList(mailbox.recent.has(uid) ? [...flags, "\\Recent"] : flags);
}

/** How many messages of the client's list are \Recent. */
export function countRecent({ mailbox, view }: Pick<Selected, "mailbox" | "view">): number {
  let count = 0;
  for (const uid of mailbox.recent) if (view.uids[lowerBound(view.uids, uid)] === uid) count++;
  return count;
}

/** RFC 7162 3.2.10: UIDs, in place of numbers that change with every line. */
function writeVanished(notices: readonly Notice[], output: Output): void {
  const uids = notices.flatMap((notice) => (notice.kind === "expunge" ? notice.uid : []));
  if (uids.length > 0) output.write(untagged(`VANISHED ${formatNumberSet(uidSetOf(uids))}`));
}

function formatNotice(state: Selected, notice: Notice): string {
  switch (notice.kind) {
    case "expunge":
      return state.enabled.qresync ? "" : untagged(`${notice.sequence} EXPUNGE`);
    case "exists":
      return untagged(`${notice.count} EXISTS`) + untagged(`${countRecent(state)} RECENT`);
    case "flags": {
      const flags = formatFlags(state, notice.uid);
      if (flags === undefined) return "";
      if (!state.enabled.condstore)
        return untagged(`${notice.sequence} FETCH (UID ${notice.uid} FLAGS ${flags})`);
      const modSeq = formatModSeq(state, notice.uid);
      // Not known yet: the change is announced once more with the metadata.
      if (modSeq === undefined) return "";
      return untagged(`${notice.sequence} FETCH (UID ${notice.uid} MODSEQ ${modSeq} FLAGS ${flags})`);
    }
    default:
      return unreachable(notice);
  }
}
