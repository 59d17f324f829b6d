/**
 * From a mailbox name on the wire to its folder below Maildir/ and to its line in `subscriptions`, as
 * Dovecot's Maildir++ layout with the listescape plugin has them, so that Dovecot lists the same names.
 * Names stay as they are on the wire (modified UTF-7). What was chosen is kept in the mailbox's record:
 * a name that cannot be told back from its folder (too long, empty levels) gets a hashed one.
 */
import { createHash } from "node:crypto";

export interface RemoteName {
  readonly name: string;
  readonly separator: string | null;
  /** The personal namespace's prefix with its separator; not part of the folder. */
  readonly prefix: string;
}

/** What a file system allows in a name, less room for a suffix and for Dovecot's own temporary names. */
const maxFolderBytes = 240;

/** '' for INBOX, `.Sent.2019` otherwise. */
export function directoryOf(remote: RemoteName): string {
  if (remote.name === "INBOX") return "";
  return `.${storageLevels(remote).join(".")}`;
}

/** Dovecot's storage name in levels; INBOX is `['INBOX']`. */
export function storageLevels(remote: RemoteName): readonly string[] {
  if (remote.name === "INBOX") return ["INBOX"];
  const local = withoutPrefix(remote);
  const levels = remote.separator === null ? [local] : local.split(remote.separator);
  if (levels.some((level) => level === "")) return [hashedLevel(remote.name)];
  const escaped = levels.map((level) => escapeLevel(level));
  // A mailbox INBOX below the prefix `INBOX.` is not the INBOX, whose folder is the root.
  if (escaped.length === 1 && escaped[0] === "INBOX") return ["\\49NBOX"];
  return Buffer.byteLength(escaped.join(".")) <= maxFolderBytes ? escaped : [hashedLevel(remote.name)];
}

/** The name under which Dovecot lists a folder, in a namespace of this prefix and separator. */
export function nameInDovecot(directory: string, { separator, prefix }: Omit<RemoteName, "name">): string {
  if (directory === "") return "INBOX";
  const levels = directory.slice(1).split(".").map(unescapeLevel);
  return prefix + levels.join(separator ?? ".");
}

/** `wanted`, or with the first suffix that makes it one of its own. */
export function uniqueDirectory(wanted: string, isTaken: (directory: string) => boolean): string {
  let directory = wanted;
  for (let attempt = 2; isTaken(directory); attempt++) directory = `${wanted}-${attempt}`;
  return directory;
}

function withoutPrefix({ name, prefix }: RemoteName): string {
  return prefix !== "" && name.startsWith(prefix) && name.length > prefix.length
    ? name.slice(prefix.length)
    : name;
}

/** `.` is the storage's separator, `/` the file system's, `\` the escape itself, `~` a home directory. */
function escapeLevel(level: string): string {
  return level.replace(/^~|[./\\\x00-\x1f\x7f-\xff]/g, (char) => {
    return `\\${char.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}

function unescapeLevel(level: string): string {
  return level.replace(/\\([0-9a-f]{2})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
}

function hashedLevel(name: string): string {
  return `mailferry-${createHash("sha256").update(name, "latin1").digest("hex").slice(0, 32)}`;
}
