/**
 * A private, real Dovecot for one test: own folder, own loopback ports, started and stopped at will on
 * the same ports, so that a legacy server can go away and come back. Works as root and as an ordinary
 * user. It is killed as a process group, at the latest when the test process ends.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { type DovecotNamespace, type DovecotPorts, dovecotConfig } from "./dovecot-config.ts";
import { freePorts } from "./free-port.ts";
import { connectImap, type ImapClient } from "./imap-client.ts";
import { atProcessEnd } from "./process-end.ts";
import { greets, killGroup } from "./server-process.ts";
import { testCertificate } from "./tls.ts";
import { waitUntil } from "./wait-until.ts";

export interface DovecotOptions {
  readonly users: readonly string[];
  /** Default: `pass-<user>`. */
  readonly passwordOf?: (user: string) => string;
  /** Default: both. */
  readonly protocols?: readonly ("imap" | "pop3")[];
  /** Listens with TLS too (imaps, pop3s, STARTTLS), with the certificate of tls.ts. */
  readonly tls?: boolean;
  readonly namespace?: Partial<DovecotNamespace>;
  /** The zone in which INTERNALDATEs are shown, `Asia/Kolkata`; a Maildir does not keep zones. */
  readonly timeZone?: string;
  /** Default: `maildir:~/Maildir`. */
  readonly mailLocation?: string;
  readonly extraConfig?: string;
  /** Default true; otherwise call `start()` when the Maildirs are filled. */
  readonly started?: boolean;
}

export interface Dovecot {
  readonly host: string;
  readonly ports: DovecotPorts;
  readonly root: string;
  readonly configFile: string;
  readonly namespace: DovecotNamespace;
  readonly users: readonly string[];
  passwordOf(user: string): string;
  /** The user's Maildir folder, `<root>/mail/<user>/Maildir`. */
  maildirOf(user: string): string;
  /** Replaces the user's Maildir by a copy of another (one of ours, say). */
  adoptMaildir(user: string, from: string): Promise<void>;
  /** Gives everything under the mail folder to the user that Dovecot's mail processes run as. */
  ownMail(): Promise<void>;
  start(): Promise<void>;
  /** `gently` is SIGTERM and lets mail processes finish (1–2 s); otherwise everything is gone at once. */
  stop(how?: "gently" | "at once"): Promise<void>;
  /** A logged-in session. */
  client(user: string): Promise<ImapClient>;
  doveadm(...args: string[]): Promise<string>;
  /** Error, fatal, panic and warning lines of the log so far. */
  errors(): Promise<string[]>;
  log(): Promise<string>;
  /** Stops at once and removes the folder. */
  close(): Promise<void>;
}

const run = promisify(execFile);
/**
 * Who reads and writes mail where the tests run as root, for which Dovecot does not: `nobody`, since any user will do
 * for what is below one folder.
 */
export const mailOwner = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined;

export async function startDovecot(options: DovecotOptions): Promise<Dovecot> {
  const dovecot = await createDovecot(options);
  try {
    if (options.started !== false) await dovecot.start();
    return dovecot;
  } catch (error) {
    await dovecot.close();
    throw error;
  }
}

async function createDovecot(options: DovecotOptions): Promise<Dovecot> {
  const root = await makeRoot();
  const mail = join(root, "mail");
  const configFile = join(root, "dovecot.conf");
  const logFile = join(root, "dovecot.log");
  const passwordOf = options.passwordOf ?? ((user) => `pass-${user}`);
  const ports = await choosePorts(options.tls === true);
  const namespace = {
    separator: ".",
    prefix: "",
    listEscape: false,
    specialUse: {},
    ...options.namespace,
  } as const;
  const setup = {
    root,
    ports,
    protocols: options.protocols ?? ["imap", "pop3"],
    namespace,
    tls: options.tls ? testCertificate() : undefined,
    mailOwner,
    mailLocation: options.mailLocation ?? "maildir:~/Maildir",
    extraConfig: options.extraConfig ?? "",
  } as const;
  await writeFile(configFile, dovecotConfig(setup), { mode: 0o644 });
  await writeFile(join(root, "users"), passwdFile(options.users, passwordOf), { mode: 0o644 });
  for (const user of options.users) await mkdir(join(mail, user), { recursive: true });

  const listening = setup.protocols.map((protocol) => ports[protocol]);
  let child: ChildProcess | undefined;
  const log = (): Promise<string> => readFile(logFile, "latin1").catch(() => "");
  const dovecot: Dovecot = {
    host: "127.0.0.1",
    ports,
    root,
    configFile,
    namespace,
    users: options.users,
    passwordOf,
    maildirOf: (user) => join(mail, user, "Maildir"),
    async adoptMaildir(user, from) {
      await rm(dovecot.maildirOf(user), { recursive: true, force: true });
      await cp(from, dovecot.maildirOf(user), { recursive: true, preserveTimestamps: true });
      await dovecot.ownMail();
    },
    async ownMail() {
      if (mailOwner) await run("chown", ["-R", `${mailOwner.uid}:${mailOwner.gid}`, mail]);
    },
    async start() {
      if (child) throw new Error("Dovecot is running");
      await dovecot.ownMail();
      const started = spawnDovecot(configFile, options.timeZone);
      child = started;
      for (const port of listening) {
        await waitUntil(`Dovecot listens on ${port}`, async () => {
          if (started.exitCode !== null) throw new Error(`Dovecot did not start: ${await log()}`);
          return greets(port);
        });
      }
    },
    async stop(how = "gently") {
      const stopping = child;
      child = undefined;
      if (!stopping) return;
      await stopDovecot(stopping, how);
      for (const port of listening) {
        await waitUntil(`nobody listens on ${port}`, async () => !(await greets(port)));
      }
    },
    client: async (user) => {
      const client = await connectImap({ port: ports.imap });
      await client.login(user, passwordOf(user));
      return client;
    },
    doveadm: async (...args) => {
      const { stdout } = await run("doveadm", ["-c", configFile, ...args], { maxBuffer: 1 << 28 });
      return stdout;
    },
    errors: async () => (await log()).split("\n").filter(isComplaint),
    log,
    async close() {
      await dovecot.stop("at once");
      await rm(root, { recursive: true, force: true, maxRetries: 3 });
    },
  };
  return dovecot;
}

async function makeRoot(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "dovecot-"));
  // Dovecot's unprivileged processes must reach what is theirs.
  await chmod(root, 0o755);
  await mkdir(join(root, "mail"));
  return root;
}

async function choosePorts(tls: boolean): Promise<DovecotPorts> {
  const [imap = 0, pop3 = 0, imaps = 0, pop3s = 0] = await freePorts(4);
  return { imap, pop3, imaps: tls ? imaps : 0, pop3s: tls ? pop3s : 0 };
}

function passwdFile(users: readonly string[], passwordOf: (user: string) => string): string {
  // Base64, so that a password may hold a colon.
  const line = (user: string): string =>
    `${user}:{PLAIN.b64}${Buffer.from(passwordOf(user), "utf8").toString("base64")}::::::\n`;
  return users.map(line).join("");
}

function spawnDovecot(configFile: string, timeZone: string | undefined): ChildProcess {
  const path = `${process.env["PATH"] ?? ""}:/usr/sbin`;
  const child = spawn("dovecot", ["-F", "-c", configFile], {
    env: { ...process.env, PATH: path, TZ: timeZone ?? "UTC" },
    stdio: "ignore",
    detached: true,
  });
  child.unref();
  if (child.pid !== undefined) {
    const cleanup = atProcessEnd(-child.pid, [dirname(configFile)]);
    child.once("exit", () => cleanup.dismiss());
  }
  return child;
}

async function stopDovecot(child: ChildProcess, how: "gently" | "at once"): Promise<void> {
  const { pid } = child;
  if (pid === undefined) return;
  child.ref();
  const exited = new Promise<void>((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else child.once("exit", () => resolve());
  });
  if (how === "gently") child.kill("SIGTERM");
  else killGroup(pid, "SIGKILL");
  await exited;
  killGroup(pid, "SIGKILL");
}

function isComplaint(line: string): boolean {
  if (/fd limit|Corrected permissions for login directory|Killed with signal 15/.test(line)) return false;
  return /: (?:Error|Fatal|Panic|Warning): /.test(line);
}
