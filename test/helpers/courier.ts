/**
 * A private, real Courier (IMAP and POP3 over the same Maildirs) for one test: own folder, own loopback
 * ports, passwords from this process. test/install-servers.sh unpacks it. Works as root and as an ordinary
 * user.
 *
 * POP3 of this version (1.0.16) knows nothing of IMAP's UIDs: it numbers messages for itself, in
 * `courierpop3dsizelist`, and a UIDL is `UID<number>-<validity>`, the validity being the second of the first
 * POP3 login. IMAP's UIDVALIDITY (in `courierimapuiddb`) is another number. Messages stand, and get their
 * numbers, in the order of their file names, which within one second is not that of the UIDs. LIST's sizes
 * are RFC822.SIZE, but unless the client has said UTF8 before it logs in, RETR and TOP wrap a message with
 * 8-bit bytes in its header into a report, with another boundary each time. RETR marks \Seen. The maildrop
 * is not locked. A failed login takes 5 s; many sessions that write to one mailbox wait for each other's
 * locks for seconds (not with `IMAP_USELOCKS=0`).
 */
import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { userInfo } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { freePorts } from "./free-port.ts";
import {
  type Daemon,
  listenOn,
  mailOwner,
  makeRoot,
  passwordOf,
  serverOf,
  startDaemon,
  type UnpackedServer,
  unpacked,
} from "./unpacked-server.ts";

export interface CourierOptions {
  readonly users: readonly string[];
  /** Lines for the end of Debian's /etc/courier/imapd and pop3d: `IMAP_USELOCKS=0`. */
  readonly config?: readonly string[];
}

export interface Courier extends UnpackedServer {
  maildirOf(user: string): string;
}

const run = promisify(execFile);

export async function startCourier({ users, config = [] }: CourierOptions): Promise<Courier> {
  const { prefix, libraryPath } = unpacked("courier");
  const root = await makeRoot("courier");
  const [imap = 0, pop3 = 0] = await freePorts(2);
  const maildirOf = (user: string): string => join(root, "mail", user, "Maildir");
  await makeMaildirs(join(root, "mail"), users.map(maildirOf));
  // IDLE looks once a second instead of once a minute.
  await writeFile(join(root, "config"), `${["IMAP_IDLE_TIMEOUT=1", ...config].join("\n")}\n`);
  await redirectAuthentication(join(prefix, "usr", "lib"), join(root, "lib"));
  const passwords = await listenOn(join(root, authSocket), (socket) => answerAuthdaemon(socket, users, root));

  const gaminId = basename(root);
  const env = { LD_LIBRARY_PATH: `${join(root, "lib")}:${libraryPath}`, GAM_CLIENT_ID: gaminId };
  const listen = (port: number, configFile: string, login: string, server: string): Daemon =>
    startDaemon(
      root,
      [
        ...["sh", "-c", 'set -a; . "$1"; . "$2"; shift 2; exec "$@"', "sh"],
        ...[join(prefix, "etc", "courier", configFile), join(root, "config")],
        ...[join(prefix, "usr", "sbin", "couriertcpd"), "-address=127.0.0.1", "-nodnslookup"],
        ...["-noidentlookup", "-maxprocs=200", "-maxperip=200", String(port)],
        ...[join(prefix, "usr", "lib", "courier", "courier", login), join(prefix, server), "Maildir"],
      ],
      env,
    );
  // The file alteration monitor: imapd waits 1 s at each login for one that it cannot start.
  const monitor = [join(prefix, "usr", "libexec", "gam_server"), "--notimeout", gaminId];
  const daemons = {
    other: startDaemon(root, monitor, env, mailOwner),
    imap: listen(imap, "imapd", "imaplogin", "usr/bin/imapd"),
    pop3: listen(pop3, "pop3d", "courierpop3login", "usr/lib/courier/courier/courierpop3d"),
  };
  const server = await serverOf({ root, users, ports: { imap, pop3 }, daemons, passwords });
  return { ...server, maildirOf };
}

async function makeMaildirs(folder: string, maildirs: readonly string[]): Promise<void> {
  await mkdir(folder);
  for (const maildir of maildirs) {
    for (const part of ["tmp", "new", "cur"]) await mkdir(join(maildir, part), { recursive: true });
  }
  if (mailOwner) await run("chown", ["-R", `${mailOwner.uid}:${mailOwner.gid}`, folder]);
}

const authSocket = "auth";

/**
 * The path of authdaemond's socket is compiled in. In our copy of the library it is one in the folder that
 * the login processes run in. The compiler may keep the path in pieces of 16 bytes: the first is replaced.
 */
async function redirectAuthentication(from: string, to: string): Promise<void> {
  const name = "libcourierauth.so.0";
  const library = await readFile(join(from, name));
  const at = library.indexOf("/run/courier/aut");
  if (at < 0) throw new Error(`${name} has its socket elsewhere`);
  library.write(authSocket.padEnd(16, "\0"), at, "latin1");
  await mkdir(to);
  await writeFile(join(to, name), library);
}

/** authdaemond's protocol: `AUTH <length>`, then service, method, user and password, each on a line. */
function answerAuthdaemon(socket: Socket, users: readonly string[], root: string): void {
  let received = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    received += chunk;
    const request = /^AUTH \d+\n[^\n]*\nlogin\n([^\n]*)\n([^\n]*)\n/m.exec(received);
    if (!request) return;
    const [, user = "", password] = request;
    const { uid, gid } = mailOwner ?? userInfo();
    socket.end(
      users.includes(user) && password === passwordOf(user)
        ? `UID=${uid}\nGID=${gid}\nHOME=${join(root, "mail", user)}\nADDRESS=${user}\n.\n`
        : "FAIL\n",
    );
  });
}
