/** A Mailferry of its own for one test: the real command line in a process of its own. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { chown, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import type { Dovecot } from "./dovecot.ts";
import { connectImap, type ImapClient } from "./imap-client.ts";
import { atProcessEnd } from "./process-end.ts";
import { testCertificate } from "./tls.ts";

export interface MailferryOptions {
  /** Without one: local accounts only. */
  readonly legacy?: Pick<Dovecot, "host" | "passwordOf"> & { readonly ports: { readonly imap: number } };
  /** Where mail is kept; default: in the temporary folder, removed by `close()`. */
  readonly dataDir?: string;
  /** Merged over the configuration, key by key at the top level. */
  readonly extra?: Readonly<Record<string, unknown>>;
  /** Merged over the one entry of `legacy`. */
  readonly legacyExtra?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
  /** Started as root it runs as this user, who may share its mail with another server. */
  readonly runAs?: { readonly uid: number; readonly gid: number } | undefined;
}

export interface Listener {
  readonly protocol: string;
  readonly address: string;
  readonly port: number;
  readonly tls: "none" | "starttls" | "implicit";
}

export interface Mailferry {
  /** As last told by the server; ports may change at a restart. */
  readonly listening: readonly Listener[];
  readonly dataDir: string;
  readonly configFile: string;
  readonly pid: number;
  /** The first plain port of a protocol (`imap`), or the one with that TLS mode. */
  port(protocol: string, tls?: Listener["tls"]): number;
  /** A logged-in session through Mailferry. */
  client(user: string, password?: string): Promise<ImapClient>;
  /** Everything written to stderr, over all starts. */
  log(): Promise<string>;
  /** SIGTERM; resolves with the exit code, null when a signal ended it. */
  stop(): Promise<number | null>;
  /** SIGKILL. */
  kill(): Promise<void>;
  start(): Promise<void>;
  restart(): Promise<void>;
  /** Ends the process and removes what is temporary. */
  close(): Promise<void>;
}

/** For `extra`: IMAP and POP3 on free ports, without TLS. */
export const plainListeners = ["imap", "pop3"].map((protocol) => ({
  protocol,
  address: "127.0.0.1",
  port: 0,
  tls: "none",
}));

export const repository = fileURLToPath(new URL("../../", import.meta.url));
const cli = join(repository, "src", "cli.ts");

export async function startMailferry(options: MailferryOptions): Promise<Mailferry> {
  const folder = await mkdtemp(join(tmpdir(), "mailferry-"));
  const dataDir = options.dataDir ?? join(folder, "data");
  const configFile = join(folder, "config.yaml");
  const logFile = join(folder, "log");
  await writeFile(configFile, stringify(configOf(options, dataDir)));
  if (options.runAs) await chown(folder, options.runAs.uid, options.runAs.gid);
  let child: ChildProcess | undefined;
  let listening: readonly Listener[] = [];
  const log = (): Promise<string> => readFile(logFile, "utf8").catch(() => "");

  async function end(signal: NodeJS.Signals): Promise<number | null> {
    const ending = child;
    child = undefined;
    if (!ending) return null;
    const exited = exitOf(ending);
    ending.kill(signal);
    return exited;
  }

  const mailferry: Mailferry = {
    get listening() {
      return listening;
    },
    get pid() {
      return child?.pid ?? 0;
    },
    dataDir,
    configFile,
    port(protocol, tls = "none") {
      const found = listening.find((listener) => listener.protocol === protocol && listener.tls === tls);
      if (!found) throw new Error(`no ${protocol} listener with tls ${tls}`);
      return found.port;
    },
    async client(user, password = options.legacy?.passwordOf(user) ?? "") {
      const client = await connectImap({ port: mailferry.port("imap") });
      await client.login(user, password);
      return client;
    },
    log,
    stop: () => end("SIGTERM"),
    async kill() {
      await end("SIGKILL");
    },
    async start() {
      if (child) throw new Error("Mailferry is running");
      child = spawnServer(configFile, logFile, options);
      try {
        listening = await readListening(child);
      } catch (error) {
        await end("SIGKILL");
        throw new Error(`Mailferry did not start:\n${await log()}`, { cause: error });
      }
    },
    async restart() {
      await mailferry.stop();
      await mailferry.start();
    },
    async close() {
      await end("SIGKILL");
      await rm(folder, { recursive: true, force: true, maxRetries: 3 });
    },
  };
  try {
    await mailferry.start();
    return mailferry;
  } catch (error) {
    await mailferry.close();
    throw error;
  }
}

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command line to its end, whatever its exit code. */
export function runCli(args: readonly string[], options: { input?: string; timeoutMs?: number } = {}) {
  return new Promise<CliResult>((resolve) => {
    const settings = { timeout: options.timeoutMs ?? 60_000, maxBuffer: 64 << 20, cwd: repository };
    const child = execFile(process.execPath, [cli, ...args], settings, (_, stdout, stderr) =>
      resolve({ code: child.exitCode, stdout, stderr }),
    );
    child.stdin?.end(options.input ?? "");
  });
}

/** `account create`: an account that is Mailferry's own. */
export async function createAccount(
  { configFile }: Mailferry,
  user: string,
  password: string,
): Promise<CliResult> {
  const file = join(dirname(configFile), `${user}.pw`);
  await writeFile(file, `${password}\n`);
  return runCli(["account", "create", "-c", configFile, user, "--password-file", file]);
}

function configOf({ legacy, extra, legacyExtra }: MailferryOptions, dataDir: string) {
  const { cert, key } = testCertificate();
  const imap = legacy && { host: legacy.host, port: legacy.ports.imap, tls: "none" };
  const listener = (tls: Listener["tls"]) => ({ protocol: "imap", address: "127.0.0.1", port: 0, tls });
  return {
    dataDir,
    hostname: "localhost",
    listen: [listener("none"), listener("starttls"), listener("implicit")],
    tls: { cert, key },
    allowPlaintextLogin: true,
    legacy: imap ? [{ domains: ["*"], imap, login: "%u", ...legacyExtra }] : [],
    log: { level: "debug", pretty: false },
    ...extra,
  };
}

/** Starts the server; the log file is its stderr, so that nothing is lost however it ends. */
function spawnServer(
  configFile: string,
  logFile: string,
  { env, runAs }: Pick<MailferryOptions, "env" | "runAs">,
): ChildProcess {
  const log = openSync(logFile, "a");
  try {
    const child = spawn(process.execPath, [cli, "serve", "-c", configFile], {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", log],
      ...runAs,
    });
    const cleanup = atProcessEnd(child.pid ?? 0, [dirname(configFile)]);
    child.once("exit", () => cleanup.dismiss());
    return child;
  } finally {
    closeSync(log);
  }
}

/** The one JSON line on stdout; what else comes there is dropped. */
function readListening(child: ChildProcess): Promise<readonly Listener[]> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("no line on stdout within 30 s")), 30_000);
    let head = "";
    child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      if (!head.includes("\n")) head += chunk;
      if (!head.includes("\n")) return;
      clearTimeout(timer);
      const parsed: unknown = JSON.parse(head.slice(0, head.indexOf("\n")));
      resolve((parsed as { listening: Listener[] }).listening);
    });
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`exited with ${code}: ${head}`));
    });
  });
}

function exitOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolve) => child.once("exit", (code) => resolve(code)));
}

/** Of an account, as `status` tells; `none` where there is none. */
export async function stageOf({ configFile }: Mailferry, user: string): Promise<string> {
  const { stdout } = await runCli(["status", "-c", configFile, "--json"]);
  const accounts = JSON.parse(stdout) as { user: string; stage: string }[];
  return accounts.find((account) => account.user === user)?.stage ?? "none";
}
