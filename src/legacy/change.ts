/**
 * Commands that change something. A connection that has been idle may be dead without a sign, so it is
 * asked something harmless first: what is lost after that was sent, and is never sent again blindly.
 */
import { MailError, OutcomeUnknown } from "../errors.ts";
import type { CopiedUids } from "../mail/copied-uids.ts";
import type { FlagChange } from "../mail/flag-change.ts";
import type { EncodedMailboxName, Uid } from "../mail/ids.ts";
import { formatInternalDate } from "../mail/internal-date.ts";
import type { NameChange } from "../mail/name-change.ts";
import type { AppendedUid } from "../mail/new-message.ts";
import { type NumberRange, parseSequenceSet, sliceOfRange, type UidSet } from "../mail/number-set.ts";
import { type CommandPart, nameArgument } from "./command-text.ts";
import { CopiedInPart, joinCopied } from "./copied-in-part.ts";
import { parseUidValidity } from "./examine.ts";
import { parseUid } from "./fetch-answer.ts";
import type { ImapConnection } from "./imap-connection.ts";
import { expectChanged } from "./refusal.ts";
import type { SelectedMailbox } from "./selected-mailbox.ts";
import type { MailboxChanges, MessageToAppend } from "./source.ts";
import { splitUidSet } from "./uid-set.ts";
import type { StatusText, Tagged, Untagged } from "./untagged.ts";

/** Throws the server's refusal, `UNAVAILABLE` when nothing was sent, and OutcomeUnknown otherwise. */
export async function changeName(connection: ImapConnection, change: NameChange): Promise<void> {
  await connection.run({ parts: ["NOOP"] });
  expectChanged(await sendOnce(connection, partsOf(change)));
}

/** Throws UNAVAILABLE when the server cannot have got the whole of it. */
export async function appendMessage(
  connection: ImapConnection,
  target: EncodedMailboxName,
  { content, flags, internalDate }: MessageToAppend,
): Promise<AppendedUid | undefined> {
  const date = internalDate ? `"${formatInternalDate(internalDate)}" ` : "";
  const about = ` (${flags.join(" ")}) ${date}`;
  await beAlive(connection);
  let isSent = false;
  const parts: CommandPart[] = ["APPEND ", nameArgument(target), about, { message: content }];
  const onSent = (): void => {
    isSent = true;
  };
  const tagged = await connection.run({ parts, onSent }).catch((error: unknown) => {
    if (isSent) throw new OutcomeUnknown(error);
    throw error;
  });
  expectChanged(tagged);
  const [validity = "", number = ""] = tagged.code === "APPENDUID" ? tagged.codeArguments.split(" ") : [];
  const [uidValidity, uid] = [parseUidValidity(validity), parseUid(number)];
  if (uidValidity === undefined || uid === undefined) return undefined;
  return { uidValidity: connection.shownValidity(target, uidValidity), uid };
}

function partsOf(change: NameChange): CommandPart[] {
  const name = nameArgument(change.name);
  return change.kind === "RENAME"
    ? ["RENAME ", name, " ", nameArgument(change.to)]
    : [`${change.kind} `, name];
}

async function sendOnce(
  connection: ImapConnection,
  parts: readonly CommandPart[],
  onStatus?: (tail: StatusText) => void,
): Promise<Tagged> {
  const onUntagged = (untagged: Untagged): boolean => {
    if (untagged.kind === "status" && untagged.status === "OK") onStatus?.(untagged.tail);
    return false;
  };
  return connection.run({ parts, onUntagged }).catch(unknownOutcome);
}

function unknownOutcome(error: unknown): never {
  throw new OutcomeUnknown(error);
}

/**
 * STORE is not silent: its answer has the flags as they are then, and their MODSEQs. A server without UIDPLUS
 * is old, and may take a UID that is gone for another: nothing is changed but what it knows by its UID.
 */
export function mailboxChanges(mailbox: SelectedMailbox): MailboxChanges {
  const { connection } = mailbox;
  const safe = async (uids: UidSet): Promise<UidSet> => {
    if (connection.capabilities.has("UIDPLUS")) return uids;
    return connection.quirks.guessesUids ? mailbox.listed(uids) : narrowed(uids, await mailbox.known(uids));
  };
  return {
    async store(named, change, _onFlags, unchangedSince) {
      await beAlive(connection);
      const uids = await safe(named);
      const condition = unchangedSince === undefined ? "" : `(UNCHANGEDSINCE ${unchangedSince}) `;
      const stored = splitUidSet(uids).map(({ wire }) =>
        sendOnce(connection, [`UID STORE ${wire} ${condition}${formatChange(change)}`]),
      );
      const answers = await Promise.all(stored);
      for (const tagged of answers) expectChanged(tagged);
      return answers.flatMap(parseModified);
    },
    async expunge(uids) {
      await beAlive(connection);
      const commands = uids ? splitUidSet(uids).map(({ wire }) => `UID EXPUNGE ${wire}`) : ["EXPUNGE"];
      for (const command of commands) expectChanged(await sendOnce(connection, [command]));
    },
    copy: async (uids, target) => transfer(connection, "COPY", await safe(uids), target),
    move: async (uids, target) => transfer(connection, "MOVE", await safe(uids), target),
  };
}

/** Each range from the first to the last that is there: what lies between is named along with them. */
function narrowed(uids: UidSet, there: readonly Uid[]): UidSet {
  const sorted = there.toSorted((a, b) => a - b);
  return uids.flatMap((range) => {
    const { first, end } = sliceOfRange(sorted, range);
    const [from, to] = [sorted[first], sorted[end - 1]];
    return from === undefined || to === undefined || first >= end ? [] : [{ from, to }];
  });
}

/** So long a silence says nothing of whether the other end is still there. */
const silentMs = 60_000;

/** Nothing is sent that changes anything before the server has been heard of, lately or now. */
async function beAlive(connection: ImapConnection): Promise<void> {
  if (performance.now() - connection.heardAt > silentMs) await connection.run({ parts: ["NOOP"] });
}

/**
 * COPY is done as a whole or not at all (RFC 3501 6.4.7), but a line of more than 8,192 bytes (RFC 7162 4) may be
 * refused, end the connection, or be cut: a longer set goes in several commands, and throws CopiedInPart where a
 * later one is refused. A server that moves may leave off in the middle by itself (RFC 6851 3.3).
 */
async function transfer(
  connection: ImapConnection,
  verb: "COPY" | "MOVE",
  uids: UidSet,
  target: EncodedMailboxName,
): Promise<CopiedUids | undefined> {
  if (uids.length === 0) return undefined;
  await beAlive(connection);
  const told: (CopiedUids | undefined)[] = [];
  const done: NumberRange[] = [];
  for (const { wire, ranges } of splitUidSet(uids)) {
    let copied: CopiedUids | undefined;
    const parts = [`UID ${verb} ${wire} `, nameArgument(target)];
    const tagged = await sendOnce(connection, parts, (tail) => {
      copied ??= parseCopyUid(tail);
    });
    try {
      expectChanged(tagged);
    } catch (error) {
      if (done.length === 0 || !(error instanceof MailError)) throw error;
      throw new CopiedInPart(error, done, joinCopied(told));
    }
    done.push(...ranges);
    told.push(parseCopyUid(tagged) ?? copied);
  }
  const all = joinCopied(told);
  return all && { ...all, uidValidity: connection.shownValidity(target, all.uidValidity) };
}

const storeItems = { add: "+FLAGS", remove: "-FLAGS", replace: "FLAGS" } as const;

/** Flags are atoms: the front end's parser has let nothing else through. */
function formatChange({ kind, flags }: FlagChange): string {
  return `${storeItems[kind]} (${flags.join(" ")})`;
}

/** UIDs, since the command was UID STORE (RFC 7162 3.1.3). */
function parseModified({ code, codeArguments }: StatusText): Uid[] {
  return code === "MODIFIED" ? (expand(codeArguments) ?? []) : [];
}

/** `COPYUID uidvalidity from to`, in the tagged answer or, with MOVE, before it (RFC 6851 4.3). */
function parseCopyUid({ code, codeArguments }: StatusText): CopiedUids | undefined {
  if (code !== "COPYUID") return undefined;
  const [validity = "", fromSet = "", toSet = ""] = codeArguments.split(" ");
  const uidValidity = parseUidValidity(validity);
  const [from, to] = [expand(fromSet), expand(toSet)];
  if (uidValidity === undefined || !from || from.length !== to?.length) return undefined;
  return { uidValidity, from, to };
}

/** In the order of the set; undefined where it is none. */
function expand(set: string): Uid[] | undefined {
  const uids: number[] = [];
  for (const { from, to } of parseSequenceSet(set, 1_000_000) ?? []) {
    if (from === "*" || to === "*" || Math.abs(to - from) > 10_000_000) return undefined;
    const step = from <= to ? 1 : -1;
    for (let uid = from; uid !== to + step; uid += step) uids.push(uid);
  }
  return uids.length === 0 ? undefined : (uids as Uid[]);
}
