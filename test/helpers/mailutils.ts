/**
 * A private, real GNU Mailutils (imap4d and pop3d over the same mail) for one test: the poor server. Own
 * folder, own loopback ports, passwords from this process. test/install-servers.sh unpacks it. Works as root
 * and as an ordinary user. No `@` in a user's name.
 *
 * This version (3.15) has no UIDPLUS and no MOVE, no keywords, and an IDLE that tells nothing before DONE.
 * Flags are written when the mailbox is closed. EXPUNGE answers `* n EXPUNGED`; other sessions are not told.
 * UID FETCH, STORE and COPY take the nearest message for a UID before the first or after the last one, and
 * answer BAD to a UID that is gone between others, and to many a range that ends there. SEARCH UID takes
 * message numbers. In a Maildir, a new message has no UID before a SELECT or a POP3 login: until then every
 * STATUS and EXAMINE gives it another one, and UIDVALIDITY becomes the present second. APPEND loses flags and
 * date there; INTERNALDATE is the Date field, or else the present second. Two sessions in one mailbox, or one
 * and an APPEND, now and then give it a new UIDVALIDITY and other UIDs; a delivery by `deliver` does not.
 *
 * A UIDL is `<MD5 of the message>.<second>.<UID>`. UIDL writes it into the message, as X-UIDL: from then on
 * RETR, LIST and BODY[] have 55 bytes or so more, under the same UID. LIST's sizes are RFC822.SIZE, even
 * where RETR adds a CRLF to a message that does not end with one. TOP with lines gives an empty line too
 * many. RETR marks \Seen. The maildrop is locked, but for POP3 only.
 */
import { execFile } from "node:child_process";
import { chown, mkdir, rename, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePorts } from "./free-port.ts";
import {
  type Daemon,
  mailOwner,
  makeRoot,
  passwordOf,
  serverOf,
  startDaemon,
  type UnpackedServer,
  unpacked,
} from "./unpacked-server.ts";

export interface MailutilsOptions {
  readonly users: readonly string[];
  /** Of INBOX and every other mailbox; default: maildir. */
  readonly storage?: "maildir" | "mbox";
  /** Statements for the end of both daemons' configuration: `max-children 3;`. Of one said twice the last wins. */
  readonly config?: readonly string[];
}

export interface Mailutils extends UnpackedServer {
  /** The user's INBOX: a Maildir, or an mbox file. */
  mailboxOf(user: string): string;
  /** The folder with the user's other mailboxes, each under its name. */
  foldersOf(user: string): string;
  /** Delivers into the INBOX as a mail transfer agent does (maildir). */
  deliver(user: string, message: Buffer): Promise<void>;
}

const run = promisify(execFile);

export async function startMailutils(options: MailutilsOptions): Promise<Mailutils> {
  const { users, storage = "maildir", config = [] } = options;
  const { prefix, libraryPath } = unpacked("mailutils");
  const root = await makeRoot("mailutils");
  const [imap = 0, pop3 = 0] = await freePorts(2);
  const mailboxOf = (user: string): string => join(root, "mail", user, "INBOX");
  const foldersOf = (user: string): string => join(root, "mail", user, "folders");
  await mkdir(join(root, "locks"));
  for (const user of users) {
    await mkdir(foldersOf(user), { recursive: true });
    await makeMailbox(mailboxOf(user), storage);
  }
  if (mailOwner) {
    const owner = `${mailOwner.uid}:${mailOwner.gid}`;
    await run("chown", ["-R", owner, join(root, "mail"), join(root, "locks")]);
  }
  await writeUsers(root, users, foldersOf);

  const env = {
    LD_LIBRARY_PATH: libraryPath,
    // The daemons know the users of these files only.
    LD_PRELOAD: "libnss_wrapper.so",
    NSS_WRAPPER_PASSWD: join(root, "passwd"),
    NSS_WRAPPER_GROUP: join(root, "group"),
  };
  const listen = async (name: string, port: number): Promise<Daemon> => {
    const configFile = join(root, `${name}.conf`);
    const pidFile = join(root, `${name}.pid`);
    const statements = [
      "mode daemon;",
      "foreground yes;",
      `server 127.0.0.1:${port} { };`,
      `pidfile "${pidFile}";`,
      "max-children 200;",
      "logging { syslog no; };",
      "tcp-wrappers { enable no; };",
      "auth {",
      "  authentication clear; authentication generic;",
      "  authorization clear; authorization system;",
      "};",
      `mailbox { mailbox-pattern "${storage}://${mailboxOf("$user")}"; mailbox-type ${storage}; };`,
      `mandatory-locking { lock-directory "${join(root, "locks")}"; };`,
      ...config,
    ];
    await writeFile(configFile, `${statements.join("\n")}\n`);
    return startDaemon(root, [join(prefix, "usr", "sbin", name), "--config-file", configFile], env);
  };
  const daemons = { imap: await listen("imap4d", imap), pop3: await listen("pop3d", pop3) };
  const server = await serverOf({ root, users, ports: { imap, pop3 }, daemons });
  let delivered = 0;
  const deliver = async (user: string, message: Buffer): Promise<void> => {
    const number = ++delivered;
    const file = join(root, `delivery-${number}`);
    await writeFile(file, message.toString("latin1").replaceAll("\r\n", "\n"), "latin1");
    if (mailOwner) await chown(file, mailOwner.uid, mailOwner.gid);
    const now = Date.now();
    const name = `${Math.floor(now / 1_000)}.M${(now % 1_000) * 1_000}P1Q${number}.mta`;
    // The server empties tmp/ whenever it looks.
    await rename(file, join(mailboxOf(user), "new", name));
  };
  return { ...server, mailboxOf, foldersOf, deliver };
}

/** An APPEND does not make the INBOX. */
async function makeMailbox(path: string, storage: "maildir" | "mbox"): Promise<void> {
  if (storage === "mbox") return writeFile(path, "");
  for (const part of ["tmp", "new", "cur"]) await mkdir(join(path, part), { recursive: true });
}

/** The system's databases, as the daemons see them. Debian's want to belong to the group `mail`. */
async function writeUsers(
  root: string,
  users: readonly string[],
  homeOf: (user: string) => string,
): Promise<void> {
  const { uid, gid } = mailOwner ?? userInfo();
  const hashes = await run("openssl", ["passwd", "-6", ...users.map(passwordOf)]);
  const hashOf = new Map(hashes.stdout.split("\n").map((hash, index) => [users[index], hash]));
  const lines = users.map((user) => `${user}:${hashOf.get(user)}:${uid}:${gid}::${homeOf(user)}:/bin/sh\n`);
  await writeFile(join(root, "passwd"), lines.join(""));
  await writeFile(join(root, "group"), `mail:x:${gid}:\n`);
}
