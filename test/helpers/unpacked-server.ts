/** What the servers have in common that test/install-servers.sh unpacks: cyrus.ts, courier.ts, mailutils.ts. */
import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readdirSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectImap, type ImapClient } from "./imap-client.ts";
import { atProcessEnd } from "./process-end.ts";
import { greets, killGroup } from "./server-process.ts";
import { waitUntil } from "./wait-until.ts";

export interface UnpackedServer {
  readonly host: string;
  readonly ports: { readonly imap: number; readonly pop3: number };
  readonly root: string;
  readonly users: readonly string[];
  /** Leaders of process groups, which together are all its processes. */
  readonly pids: readonly number[];
  passwordOf(user: string): string;
  /** A logged-in session. */
  client(user: string): Promise<ImapClient>;
  /** What every process has logged so far. */
  log(): Promise<string>;
  /** Stops at once and removes the folder. */
  close(): Promise<void>;
}

/** `nobody`, where tests run as root: these servers do not touch mail as root. */
export const mailOwner =
  process.getuid?.() === 0 ? ({ name: "nobody", uid: 65534, gid: 65534 } as const) : undefined;

export function passwordOf(user: string): string {
  return `pass-${user}`;
}

/** Where install-servers.sh unpacks what cannot be installed beside Dovecot. */
export function unpacked(name: "cyrus" | "courier" | "mailutils"): { prefix: string; libraryPath: string } {
  const prefix = join("/var/cache/mailferry-tests", name);
  if (!existsSync(prefix)) throw new Error(`no ${prefix}: run test/install-servers.sh`);
  const libraries = join(prefix, "usr", "lib");
  const perMachine = readdirSync(libraries).filter((folder) => folder.includes("-linux-gnu"));
  return { prefix, libraryPath: [".", ...perMachine].map((folder) => join(libraries, folder)).join(":") };
}

export async function makeRoot(name: string): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), `${name}-`));
  // Unprivileged processes must reach what is theirs.
  await chmod(root, 0o755);
  return root;
}

/** Serves a socket that any user may write to; does not keep this process alive. */
export function listenOn(path: string, serve: (socket: Socket) => void): Promise<Server> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    serve(socket);
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ path, readableAll: true, writableAll: true }, () => resolve(server.unref()));
  });
}

export interface Daemon {
  readonly pid: number;
  /** Resolves once it sends a greeting. */
  listensOn(port: number): Promise<void>;
  /** Kills the process group. */
  kill(): Promise<void>;
}

export interface ServerParts extends Pick<UnpackedServer, "root" | "users" | "ports"> {
  /** All its processes; one may serve both. */
  readonly daemons: { readonly imap: Daemon; readonly pop3: Daemon; readonly other?: Daemon };
  /** Who tells it whether a password is right. */
  readonly passwords?: Server;
}

/** The server that was started, once it greets on both ports; closed where it does not. */
export async function serverOf(parts: ServerParts): Promise<UnpackedServer> {
  const { root, users, ports, daemons, passwords } = parts;
  const distinct = new Set(Object.values(daemons));
  const server: UnpackedServer = {
    host: "127.0.0.1",
    ports,
    root,
    users,
    pids: [...distinct].map(({ pid }) => pid),
    passwordOf,
    async client(user) {
      const client = await connectImap({ port: ports.imap });
      await client.login(user, passwordOf(user));
      return client;
    },
    log: () => readFile(join(root, "log"), "latin1"),
    async close() {
      await Promise.all([...distinct].map((daemon) => daemon.kill()));
      passwords?.close();
      await rm(root, { recursive: true, force: true, maxRetries: 3 });
    },
  };
  try {
    await daemons.imap.listensOn(ports.imap);
    await daemons.pop3.listensOn(ports.pop3);
    return server;
  } catch (error) {
    await server.close();
    throw error;
  }
}

/** Runs a command in `root` as a process group that ends with this process, with its output in `root`/log. */
export function startDaemon(
  root: string,
  [command = "", ...args]: readonly string[],
  env: Readonly<Record<string, string>>,
  owner?: { readonly uid: number; readonly gid: number },
): Daemon {
  const log = openSync(join(root, "log"), "a");
  const child = spawn(command, args, {
    cwd: root,
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", TZ: "UTC", ...env },
    stdio: ["ignore", log, log],
    detached: true,
    ...(owner && { uid: owner.uid, gid: owner.gid }),
  });
  closeSync(log);
  child.on("error", () => undefined);
  child.unref();
  const { pid } = child;
  if (pid === undefined) throw new Error(`cannot run ${command}`);
  const cleanup = atProcessEnd(-pid, [root]);
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  return {
    pid,
    async listensOn(port) {
      await waitUntil(`${command} listens on ${port}`, async () => {
        if (child.exitCode !== null || child.signalCode !== null) {
          const said = await readFile(join(root, "log"), "latin1");
          throw new Error(`${command} did not start, exit code ${child.exitCode}: ${said}`);
        }
        return greets(port);
      });
    },
    async kill() {
      child.ref();
      killGroup(pid);
      await exited;
      cleanup.dismiss();
    },
  };
}
