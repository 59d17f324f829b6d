/** mbsync and offlineimap, as people run them: a Maildir that is kept equal to an account, both ways. */
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { runMbsync } from "./mbsync.ts";

const run = promisify(execFile);

export interface SyncLogin {
  readonly port: number;
  readonly user: string;
  readonly password: string;
}

export interface SyncClient {
  readonly name: string;
  /** Writes its configuration, and runs it once; what it printed. */
  sync(folder: string, login: SyncLogin): Promise<string>;
  /** Where it keeps the INBOX. */
  readonly inbox: string;
}

export const mbsync: SyncClient = {
  name: "mbsync",
  inbox: "mail/INBOX",
  sync: runMbsync,
};

export const offlineimap: SyncClient = {
  name: "offlineimap",
  inbox: "mail/INBOX",
  async sync(folder, { port, user, password }) {
    const config = join(folder, "offlineimaprc");
    await writeFile(
      config,
      `[general]
accounts = a
metadata = ${folder}/metadata
ui = basic
[Account a]
localrepository = here
remoterepository = there
[Repository here]
type = Maildir
localfolders = ${folder}/mail
[Repository there]
type = IMAP
remotehost = 127.0.0.1
remoteport = ${port}
remoteuser = ${user}
remotepass = ${password}
ssl = no
starttls = no
auth_mechanisms = PLAIN
`,
    );
    const { stdout, stderr } = await run("offlineimap", ["-o", "-c", config], {
      env: { ...process.env, HOME: folder },
    });
    return stdout + stderr;
  },
};
