/**
 * Mailferry to play with: an old server with one user's mail (another Mailferry, with a local account) and
 * Mailferry in front of it, both on this machine only and in a temporary folder.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { stringify } from "yaml";
import { loadConfig } from "../config.ts";
import { createLogger } from "../log.ts";
import { contentOf } from "../mail/message-content.ts";
import { Secret } from "../mail/secret.ts";
import { type Addition, addMessages } from "../migration/add-local-messages.ts";
import type { Mirror } from "../migration/mirror.ts";
import type { Mailferry } from "../server.ts";
import { printLine, withSignals } from "./command.ts";
import { type DemoMessage, demoMailboxes } from "./demo-mail.ts";
import { watchPull } from "./demo-progress.ts";
import { exitOk } from "./exit-codes.ts";
import { aborted, withServer } from "./run-server.ts";

interface DemoOptions {
  readonly port?: number;
  readonly keep?: boolean;
}

const host = "127.0.0.1";
const user = "alice";
const password = "ferry";
const preferredPorts = { imap: 1143, pop3: 1110 } as const;

export function demoCommand(): Command {
  return new Command("demo")
    .description(
      "try Mailferry: an old server with some mail, and Mailferry in front of it, on this machine only",
    )
    .addOption(
      new Option(
        "--port <number>",
        `Mailferry's IMAP port; default: ${preferredPorts.imap}, or any that is free`,
      ).argParser(toPort),
    )
    .option("--keep", "leave the folder with both servers' mail and configurations behind")
    .showHelpAfterError("(add --help for examples)")
    .addHelpText(
      "after",
      "\nCtrl-C ends it.\n\nExamples:\n  mailferry demo\n  mailferry demo --port 2143 --keep",
    )
    .action(run);
}

async function run(options: DemoOptions): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "mailferry-demo-"));
  try {
    // SIGHUP is what a closed terminal sends: the folder goes then, too.
    await withSignals((signal) => demonstrate(folder, options, signal), ["SIGINT", "SIGTERM", "SIGHUP"]);
  } finally {
    if (!options.keep) rmSync(folder, { recursive: true, force: true });
  }
  printLine(options.keep ? `\nEnded; everything is still in ${folder}` : "\nEnded; nothing is left behind.");
  process.exitCode = exitOk;
}

async function demonstrate(folder: string, options: DemoOptions, signal: AbortSignal): Promise<void> {
  const logger = createLogger({ level: "warn", pretty: false });
  printLine("Filling the old server ...");
  const oldFile = writeConfig(folder, "old-server", { imap: 0, pop3: 0 }, undefined);
  await withServer(loadConfig(oldFile), logger, async (oldServer) => {
    await oldServer.createAccount(user, new Secret(password));
    const messages = await oldServer.inspect(user, (mirror) => fill(mirror, signal));
    if (signal.aborted) return;
    const old = await portsOf(oldServer);
    writeConfig(folder, "old-server", old, undefined);
    const imap = options.port ?? (await freePort(preferredPorts.imap));
    const pop3 = await freePort(preferredPorts.pop3);
    const file = writeConfig(folder, "mailferry", { imap, pop3 }, old);
    await withServer(loadConfig(file), logger, async (mailferry) => {
      printLine(welcome({ front: await portsOf(mailferry), old, messages, file }));
      await Promise.all([watchPull(mailferry, user, signal, printLine), aborted(signal)]);
    });
  });
}

/** How many messages there are. */
async function fill(mirror: Mirror, signal: AbortSignal): Promise<number> {
  let count = 0;
  for (const { name, messages } of demoMailboxes(new Date())) {
    if (signal.aborted) break;
    if (name !== "INBOX") await mirror.authority.changeName({ kind: "CREATE", name });
    await mirror.authority.changeName({ kind: "SUBSCRIBE", name });
    await addMessages(mirror.store, await mirror.mailbox(name, signal), messages.map(toAddition));
    count += messages.length;
  }
  return count;
}

function toAddition({ bytes, flags, date }: DemoMessage): Addition {
  const internalDate = { epochSeconds: Math.floor(date.getTime() / 1000), zoneMinutes: 0 };
  return { flags, internalDate, sizeBytes: bytes.length, bytes: { content: contentOf(bytes) } };
}

interface Ports {
  readonly imap: number;
  readonly pop3: number;
}

/** `old`: of the legacy server; without one, the server has local accounts only. */
function writeConfig(folder: string, name: string, { imap, pop3 }: Ports, old: Ports | undefined): string {
  const at = (port: number) => ({ host, port, tls: "none" });
  const listener = (protocol: string, port: number) => ({ protocol, address: host, port, tls: "none" });
  const config = {
    dataDir: `./${name}`,
    hostname: "localhost",
    listen: [listener("imap", imap), listener("pop3", pop3)],
    legacy: old ? [{ domains: ["*"], imap: at(old.imap), pop3: at(old.pop3) }] : [],
  };
  const file = join(folder, `${name}.yaml`);
  writeFileSync(file, stringify(config));
  return file;
}

async function portsOf(mailferry: Mailferry): Promise<Ports> {
  const bound = await mailferry.listen();
  const of = (wanted: string): number => bound.find(({ protocol }) => protocol === wanted)?.port ?? 0;
  return { imap: of("imap"), pop3: of("pop3") };
}

interface Places {
  readonly front: Ports;
  readonly old: Ports;
  readonly messages: number;
  readonly file: string;
}

function welcome({ front, old, messages, file }: Places): string {
  return `
The old server:  ${host} ports ${old.imap} (IMAP) and ${old.pop3} (POP3), with ${messages} messages of one user
Mailferry:       ${host} ports ${front.imap} (IMAP) and ${front.pop3} (POP3), no TLS, still empty
User, password:  ${user}, ${password}

Log in through Mailferry with any mail client, and see here how the mail is pulled across:

  curl -u ${user}:${password} imap://${host}:${front.imap}/
  curl -u ${user}:${password} 'imap://${host}:${front.imap}/INBOX;MAILINDEX=1'
  curl -u ${user}:${password} pop3://${host}:${front.pop3}/1
  mutt -e 'set ssl_force_tls=no' -f imap://${user}:${password}@${host}:${front.imap}/INBOX

The other commands work, too, from another terminal:

  npm run -s mailferry -- status -c ${file} ${user}
  npm run -s mailferry -- verify -c ${file} ${user}

Ctrl-C ends the demo.
`;
}

/** The preferred one where it is free. */
async function freePort(preferred: number): Promise<number> {
  const probe = createServer();
  return new Promise((resolve) => {
    probe.once("error", () => resolve(0));
    probe.listen(preferred, host, () => probe.close(() => resolve(preferred)));
  });
}

function toPort(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new InvalidArgumentError("Expected a port number.");
  return port;
}
