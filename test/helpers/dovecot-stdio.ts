/**
 * An IMAP session on a Maildir without any daemon: Dovecot's imap process on a pair of pipes, already
 * authenticated (PREAUTH). For looking at a Maildir the way Dovecot does.
 */
import { spawn } from "node:child_process";
import { chmodSync, chownSync, rmSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { type ImapClient, imapClientOver } from "./imap-client.ts";

export interface StdioOptions {
  readonly separator?: "." | "/";
  readonly listEscape?: boolean;
  readonly extraConfig?: string;
  readonly timeZone?: string;
}

/**
 * The Maildir must be accessible to the user of the process (as root: to `nobody`, who runs it then).
 * `close()` ends the process and removes what was written for it.
 */
export async function imapOverStdio(maildir: string, options: StdioOptions = {}): Promise<ImapClient> {
  const folder = await mkdtemp(join(tmpdir(), "dovecot-stdio-"));
  const configFile = join(folder, "dovecot.conf");
  await writeFile(configFile, stdioConfig(folder, maildir, options));
  const isRoot = process.getuid?.() === 0;
  if (isRoot) chownSync(folder, 65534, 65534);
  chmodSync(folder, 0o755);
  const child = spawn("/usr/lib/dovecot/imap", ["-c", configFile], {
    env: { PATH: "/usr/sbin:/usr/bin:/bin", USER: "stdio", HOME: folder, TZ: options.timeZone ?? "UTC" },
    stdio: ["pipe", "pipe", "ignore"],
    ...(isRoot ? { uid: 65534, gid: 65534 } : {}),
  });
  const client = await imapClientOver(Duplex.from({ readable: child.stdout, writable: child.stdin }));
  return {
    ...client,
    close() {
      client.close();
      child.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function stdioConfig(folder: string, maildir: string, options: StdioOptions): string {
  return `
base_dir = ${folder}
log_path = ${join(folder, "log")}
ssl = no
stats_writer_socket_path =
mail_location = maildir:${maildir}
mail_plugins = ${options.listEscape ? "listescape" : ""}
namespace inbox {
  inbox = yes
  separator = ${options.separator ?? "."}
}
${options.extraConfig ?? ""}
`;
}
