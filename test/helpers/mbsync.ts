/** mbsync with a folder of its own, in which it keeps mail and state from one run to the next. */
import { execFile } from "node:child_process";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface MbsyncAccount {
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** Mailboxes, as mbsync is told them; default: all. */
  readonly patterns?: string;
}

/** Writes its configuration, and runs it once, both ways; what it printed. */
export async function runMbsync(
  folder: string,
  { port, user, password, patterns = "*" }: MbsyncAccount,
): Promise<string> {
  await mkdir(join(folder, "mail"), { recursive: true });
  const config = join(folder, "mbsyncrc");
  await writeFile(
    config,
    `IMAPAccount a
Host 127.0.0.1
Port ${port}
User ${user}
Pass ${password}
SSLType None

IMAPStore there
Account a

MaildirStore here
SubFolders Verbatim
Path ${folder}/mail/
Inbox ${folder}/mail/INBOX

Channel all
Far :there:
Near :here:
Patterns ${patterns}
Create Both
Expunge Both
SyncState *
`,
  );
  const { stdout, stderr } = await run("mbsync", ["-V", "-c", config, "-a"]);
  return stdout + stderr;
}

/** What it prints when it has something to do, or cannot go on. */
export const mbsyncAtWork = /UIDVALIDITY|UID validity|Error|Copy message|Adding flags|Deleting/i;

/** The files of messages below a folder, sorted. */
export async function messageFilesIn(path: string): Promise<string[]> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && /\/(cur|new)$/.test(entry.parentPath))
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();
}
