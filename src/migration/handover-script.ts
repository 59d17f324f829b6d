/**
 * What a Maildir cannot hold, as a script for sh that tells it to Dovecot by doveadm; what can only be configured is
 * in its comments. Names and keywords come from clients: whatever is in them, they stay one argument.
 */
import { decodeMailboxName } from "../mail/mailbox-name.ts";
import { formatNumberSet, type NumberRange, uidSetOf } from "../mail/number-set.ts";
import type { HandedMaildir } from "../store/hand-over.ts";
import type { MailboxRecord } from "../store/store.ts";
import type { Moment } from "./handover.ts";

export interface HandoverScript {
  readonly user: string;
  readonly moment: Moment;
  /** For people. */
  readonly notes: readonly string[];
  readonly uidlFormat: string;
}

/** One argument has to be shorter than 128 KB (Linux). */
const rangesPerCommand = 2_000;

export function formatHandoverScript({ user, moment, notes, uidlFormat }: HandoverScript): string {
  const { mailboxes } = moment.maildir;
  return [
    "#!/bin/sh",
    ...comments(
      `What the Maildir of ${user} cannot hold, for Dovecot. Run it before anybody opens the mail there: in an`,
      "index that is there already, messages would keep MODSEQs that clients take for old.",
      "DOVEADM='doveadm -c FILE' chooses a Dovecot, and HANDOVER_USER another name of the user there.",
      "",
      "Dovecot's configuration has to say (as 2.3 has it):",
      ...configuration(moment, uidlFormat).map((line) => `  ${line}`),
      ...(notes.length > 0 ? ["", "Clients will see otherwise than before:"] : []),
      ...notes.map((note) => `  ${note}`),
    ),
    "set -eu",
    `user=${quoted(user)}`,
    `user=\${HANDOVER_USER:-$user}`,
    `run() { \${DOVEADM:-doveadm} "$@"; }`,
    "",
    ...comments("HIGHESTMODSEQ: never below what clients know. First of all, since it begins each index."),
    ...mailboxes.flatMap(({ record: { name, highestModSeq } }) =>
      withName(
        name,
        (mailbox) => `run mailbox update -u "$user" --min-highest-modseq ${highestModSeq} -- ${mailbox}`,
      ),
    ),
    "",
    ...comments("Keywords that have no letter in file names: those past the 26th of a mailbox."),
    ...mailboxes.flatMap(keywordCommands),
    "",
    ...comments(
      "What was expunged before: Dovecot names all absent UIDs to a client (QRESYNC) that was last here before the",
      "log of the index began. Each round begins that log anew, and the one before it goes with the next.",
    ),
    "begin_log() {",
    `  for round in 1 2 3; do run ${rotating} index -u "$user" -- "$1"; done`,
    "}",
    ...mailboxes.flatMap(({ record: { name } }) => withName(name, (mailbox) => `begin_log ${mailbox}`)),
    "",
  ].join("\n");
}

/** Settings that Dovecot 2.3 has but does not list: of a log, how small and how new it may be and yet make room. */
const rotating = ["min_size=1", "max_size=1", "min_age=0"]
  .map((setting) => `-o mail_index_log_rotate_${setting}`)
  .join(" ");

/** As doveadm takes it; no argument can have a NUL. */
function withName(name: MailboxRecord["name"], commandOf: (quotedName: string) => string): readonly string[] {
  const shown = decodeMailboxName(name);
  return shown.includes("\0")
    ? comments(`Left out, since there is a NUL in its name: ${shown}`)
    : [commandOf(quoted(shown))];
}

function keywordCommands({ guid, extraKeywords }: HandedMaildir["mailboxes"][number]): readonly string[] {
  if (guid === undefined) return [];
  return [...extraKeywords].flatMap(([keyword, uids]) =>
    inParts(uidSetOf(uids)).map(
      (part) =>
        `run flags add -u "$user" -- ${quoted(keyword)} mailbox-guid ${guid} uid ${formatNumberSet(part)}`,
    ),
  );
}

function inParts(ranges: readonly NumberRange[]): readonly (readonly NumberRange[])[] {
  const parts: (readonly NumberRange[])[] = [];
  for (let from = 0; from < ranges.length; from += rangesPerCommand)
    parts.push(ranges.slice(from, from + rangesPerCommand));
  return parts;
}

function configuration({ listing, maildir }: Moment, uidlFormat: string): readonly string[] {
  const personal = listing.namespaces.personal?.[0];
  const prefix = personal?.prefix ?? "";
  const special = maildir.mailboxes.flatMap(({ record: { name, attributes } }) =>
    attributes
      .filter((attribute) => specialUses.has(attribute.toLowerCase()))
      .map((attribute) => {
        const local = name.startsWith(prefix) ? name.slice(prefix.length) : name;
        return `  mailbox ${inDoubleQuotes(decodeMailboxName(local as typeof name))} { special_use = ${attribute} }`;
      }),
  );
  return [
    "mail_location = maildir:~/Maildir",
    ...(maildir.hasEscapedNames ? ["mail_plugins = $mail_plugins listescape"] : []),
    "namespace inbox {",
    "  inbox = yes",
    `  separator = ${personal?.separator ?? "."}`,
    `  prefix = ${decodeMailboxName(prefix as MailboxRecord["name"])}`,
    ...special,
    "}",
    `pop3_uidl_format = ${uidlFormat}`,
  ];
}

/** RFC 6154 2. */
const specialUses: ReadonlySet<string> = new Set([
  "\\all",
  "\\archive",
  "\\drafts",
  "\\flagged",
  "\\junk",
  "\\sent",
  "\\trash",
]);

function inDoubleQuotes(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

/** One argument for sh, whatever is in it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A line end in a name would end the comment. */
function comments(...lines: readonly string[]): readonly string[] {
  return lines.map((line) => `# ${line.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, "\u{fffd}")}`.trimEnd());
}
