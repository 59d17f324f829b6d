/**
 * A private, real Cyrus (IMAP and POP3) for one test: own folder, own loopback ports, passwords from this
 * process. test/install-servers.sh unpacks it. Works as root and as an ordinary user.
 *
 * UIDLs are `<UIDVALIDITY>.<UID>` in decimal, unless `uidl_format` (uidonly, dovecot, courier) says
 * otherwise. LIST's sizes are RFC822.SIZE, even where RETR adds a CRLF to a message that does not end with
 * one; messages stand in the order of their UIDs; RETR marks nothing \Seen; the maildrop is not locked,
 * whatever the server says. APPEND turns 8-bit bytes of a header into `X` (not with `munge8bit: no`). Why it
 * does not start it tells syslog only; 78 is a bad configuration.
 */
import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePorts } from "./free-port.ts";
import {
  listenOn,
  mailOwner,
  makeRoot,
  passwordOf,
  serverOf,
  startDaemon,
  type UnpackedServer,
  unpacked,
} from "./unpacked-server.ts";

export interface CyrusOptions {
  readonly users: readonly string[];
  /** Lines of imapd.conf: `uidl_format: uidonly`, `altnamespace: no`, `unixhierarchysep: no`. */
  readonly config?: readonly string[];
}

const run = promisify(execFile);

export async function startCyrus({ users, config = [] }: CyrusOptions): Promise<UnpackedServer> {
  const { prefix, libraryPath } = unpacked("cyrus");
  const root = await makeRoot("cyrus");
  const [imap = 0, pop3 = 0] = await freePorts(2);
  const binaries = join(prefix, "usr", "lib", "cyrus", "bin");
  const imapdConf = join(root, "imapd.conf");
  const cyrusConf = join(root, "cyrus.conf");
  await writeFile(imapdConf, imapdConfig(root, config));
  await writeFile(cyrusConf, masterConfig(binaries, imapdConf, { imap, pop3 }));
  // Of two first APPENDs at once, one would fail to make `stage.`, and be refused with "System I/O error".
  const folders = ["db", "spool", "spool/stage."].map((folder) => join(root, folder));
  for (const folder of folders) await mkdir(folder);
  if (mailOwner) await run("chown", [`${mailOwner.uid}:${mailOwner.gid}`, ...folders]);
  const passwords = await listenOn(join(root, "saslauthd"), (socket) => answerSaslauthd(socket, users));
  const daemon = startDaemon(
    root,
    [join(binaries, "master"), "-D", "-C", imapdConf, "-M", cyrusConf, "-p", join(root, "pid")],
    { LD_LIBRARY_PATH: libraryPath },
  );
  const daemons = { imap: daemon, pop3: daemon };
  const cyrus = await serverOf({ root, users, ports: { imap, pop3 }, daemons, passwords });
  try {
    // A login makes the user's INBOX.
    for (const user of users) (await cyrus.client(user)).close();
    return cyrus;
  } catch (error) {
    await cyrus.close();
    throw error;
  }
}

function imapdConfig(root: string, config: readonly string[]): string {
  const lines = [
    `configdirectory: ${join(root, "db")}`,
    "defaultpartition: default",
    `partition-default: ${join(root, "spool")}`,
    `cyrus_user: ${mailOwner?.name ?? userInfo().username}`,
    "allowplaintext: yes",
    "autocreate_quota: 0",
    "failedloginpause: 0s",
    "imapidlepoll: 1s",
    "sasl_mech_list: PLAIN",
    "sasl_pwcheck_method: saslauthd",
    `sasl_saslauthd_path: ${join(root, "saslauthd")}`,
    ...config,
  ];
  // Cyrus does not take an option twice: the last one wins here.
  const options = new Map(lines.map((line) => [line.slice(0, line.indexOf(":")), line]));
  return `${[...options.values()].join("\n")}\n`;
}

function masterConfig(binaries: string, imapdConf: string, ports: UnpackedServer["ports"]): string {
  const command = (name: string): string => `cmd="${join(binaries, name)} -C ${imapdConf}`;
  return `
START {
  recover ${command("ctl_cyrusdb")} -r"
}
SERVICES {
  imap ${command("imapd")}" listen="127.0.0.1:${ports.imap}" prefork=0
  pop3 ${command("pop3d")}" listen="127.0.0.1:${ports.pop3}" prefork=0
}
EVENTS {
}
`;
}

/** saslauthd's protocol: user, password, service and realm, each behind its length in two bytes. */
function answerSaslauthd(socket: Socket, users: readonly string[]): void {
  let received = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    const fields: string[] = [];
    for (let at = 0; at + 2 <= received.length; ) {
      const end = at + 2 + received.readUInt16BE(at);
      if (end <= received.length) fields.push(received.toString("utf8", at + 2, end));
      at = end;
    }
    const [name = "", password, service, realm] = fields;
    if (service === undefined || realm === undefined) return;
    const user = realm === "" ? name : `${name}@${realm}`;
    const answer = users.includes(user) && password === passwordOf(user) ? "OK" : "NO";
    socket.end(Buffer.from(`\0\x02${answer}`, "latin1"));
  });
}
