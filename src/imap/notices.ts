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
  const recentBefore = options.expunges && view.hasExpunged ? countRecent(state) : undefined;
  const notices = view.takeNotices(options);
  nameKeywords(
    state,
    notices.flatMap((notice) => (notice.kind === "flags" ? notice.uid : [])),
    output,
  );
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
    : `OK [PERMANENTFLAGS ${formatList(withKeywords(permanentFlags, flags))}] Flags permitted.`;
  output.write(untagged(permanent));
}

function describeFlags(
  { mailbox, readOnly, told }: Selected,
  output: Output,
  /** Keywords that the old server uses without naming them. */
  more: readonly string[] = [],
): void {
  told.flags = more.length === 0 ? mailbox.flags : [...mailbox.flags, ...more];
  writeFlags({ flags: told.flags, permanentFlags: mailbox.permanentFlags, readOnly }, output);
}

const anyKeyword = "\\*";

/** Where any keyword can be kept, each that there is, too. */
function withKeywords(told: readonly string[], flags: readonly string[]): readonly string[] {
  if (!told.includes(anyKeyword)) return told;
  const known = new Set(told.map((name) => name.toLowerCase()));
  const missing = flags.filter((name) => !name.startsWith("\\") && !known.has(name.toLowerCase()));
  return [...told.filter((name) => name !== anyKeyword), ...missing, anyKeyword];
}

/** No message shows a keyword that FLAGS has not named (RFC 3501 7.2.6), whatever the old server does. */
export function nameKeywords(state: Selected, uids: readonly Uid[], output: Output): void {
  const { mailbox, told } = state;
  const known = new Set([...told.flags, ...mailbox.flags].map((name) => name.toLowerCase()));
  const unnamed: string[] = [];
  let last: readonly string[] | undefined;
  for (const uid of uids) {
    const flags = mailbox.flagsOf(uid);
    if (!flags || flags === last) continue;
    last = flags;
    for (const name of flags) {
      if (name.startsWith("\\") || known.has(name.toLowerCase())) continue;
      known.add(name.toLowerCase());
      unnamed.push(name);
    }
  }
  if (unnamed.length === 0) {
    writeNewFlagNames(state, output);
    return;
  }
  const named = new Set(mailbox.flags);
  describeFlags(state, output, [...told.flags.filter((name) => !named.has(name)), ...unnamed]);
}

function writeNewFlagNames(state: Selected, output: Output): void {
  const { flags } = state.mailbox;
  if (flags === state.told.flags) return;
  const known = new Set(state.told.flags);
  if (flags.some((name) => !known.has(name))) describeFlags(state, output);
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
