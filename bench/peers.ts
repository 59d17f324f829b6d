/** The peers that pull a whole account over IMAP, at the settings they are at their best with. */
import { chmod, chown, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Dovecot } from "../test/helpers/dovecot.ts";
import { type Contender, runCommand, seconds } from "./measure.ts";

/** `nobody` of most systems: Dovecot refuses to open mail as root. */
const mailUid = 65_534;

export interface PeerSetup {
  readonly legacy: Dovecot;
  readonly user: string;
  /** Runs work below this folder: on tmpfs or on disk. */
  readonly folder: string;
}

/** The seed's own command: `doveadm -o mail_fsync=never backup -R imapc:`, with further settings. */
export function doveadmBackup(name: string, setup: PeerSetup, settings: readonly string[]): Contender {
  const { legacy, user, folder } = setup;
  const work = join(folder, name.replaceAll(/\W+/g, "-"));
  return {
    name,
    async run() {
      await rm(work, { recursive: true, force: true });
      await mkdir(join(work, "run"), { recursive: true });
      const config = join(work, "dovecot.conf");
      await writeFile(config, targetConfig(work, setup));
      for (const path of [work, join(work, "run")]) await chown(path, mailUid, mailUid);
      await chmod(folder, 0o755);
      const options = ["mail_fsync=never", ...settings].flatMap((setting) => ["-o", setting]);
      // Without -u there is no user lookup, which would need a Dovecot running; it must not be root then.
      const args = ["-c", config, ...options, "backup", "-R", "imapc:"];
      const taken = await seconds(() =>
        runCommand("doveadm", args, {
          logFile: join(folder, "doveadm.log"),
          ...(process.getuid?.() === 0 && { uid: mailUid, gid: mailUid }),
          env: { ...process.env, TZ: "UTC", USER: user, HOME: work },
        }),
      );
      await rm(work, { recursive: true, force: true });
      return taken;
    },
  };

  function targetConfig(home: string, { legacy: source }: PeerSetup): string {
    return `
base_dir = ${join(home, "run")}
log_path = ${join(home, "log")}
protocols =
ssl = no
first_valid_uid = 0
first_valid_gid = 0
mail_location = maildir:${join(home, "Maildir")}
mail_home = ${home}
imapc_host = ${source.host}
imapc_port = ${source.ports.imap}
imapc_user = ${user}
imapc_password = ${legacy.passwordOf(user)}
imapc_features = rfc822.size fetch-headers
`;
  }
}

/** mbsync into a Maildir, FSync off, INBOX and all folders. */
export function mbsync({ legacy, user, folder }: PeerSetup): Contender {
  const work = join(folder, "mbsync");
  return {
    name: "mbsync, FSync off",
    async run() {
      await rm(work, { recursive: true, force: true });
      await mkdir(join(work, "mail"), { recursive: true });
      const config = join(work, "mbsyncrc");
      await writeFile(
        config,
        `FSync no
IMAPAccount legacy
Host ${legacy.host}
Port ${legacy.ports.imap}
User ${user}
Pass ${legacy.passwordOf(user)}
SSLType None

IMAPStore legacy
Account legacy

MaildirStore here
SubFolders Verbatim
Path ${join(work, "mail")}/
Inbox ${join(work, "mail", "INBOX")}

Channel all
Far :legacy:
Near :here:
Patterns *
Create Near
Sync Pull
SyncState *
`,
      );
      const taken = await seconds(() =>
        runCommand("mbsync", ["-q", "-c", config, "-a"], { logFile: join(folder, "mbsync.log") }),
      );
      await rm(work, { recursive: true, force: true });
      return taken;
    },
  };
}
