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
import { type Addition, addMessages } from "../migration/local-messages.ts";
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
const preferredPort = 1143;

export function demoCommand(): Command {
  return new Command("demo")
    .description(
      "try Mailferry: an old server with some mail, and Mailferry in front of it, on this machine only",
    )
    .addOption(
      new Option(
        "--port <number>",
        `Mailferry's port; default: ${preferredPort}, or any that is free`,
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
  const oldFile = writeConfig(folder, "old-server", 0, undefined);
  await withServer(loadConfig(oldFile), logger, async (oldServer) => {
    await oldServer.createAccount(user, new Secret(password));
    const messages = await oldServer.inspect(user, (mirror) => fill(mirror, signal));
    if (signal.aborted) return;
    const oldPort = await portOf(oldServer);
    writeConfig(folder, "old-server", oldPort, undefined);
    const file = writeConfig(folder, "mailferry", await frontPort(options.port), oldPort);
    await withServer(loadConfig(file), logger, async (mailferry) => {
      printLine(welcome({ port: await portOf(mailferry), oldPort, messages, file }));
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

/** `oldPort`: of the legacy server; without one, the server has local accounts only. */
function writeConfig(folder: string, name: string, port: number, oldPort: number | undefined): string {
  const legacy = { domains: ["*"], imap: { host, port: oldPort, tls: "none" } };
  const config = {
    dataDir: `./${name}`,
    hostname: "localhost",
    listen: [{ protocol: "imap", address: host, port, tls: "none" }],
    legacy: oldPort === undefined ? [] : [legacy],
  };
  const file = join(folder, `${name}.yaml`);
  writeFileSync(file, stringify(config));
  return file;
}

async function portOf(mailferry: Mailferry): Promise<number> {
  const [bound] = await mailferry.listen();
  return bound?.port ?? 0;
}

interface Places {
  readonly port: number;
  readonly oldPort: number;
  readonly messages: number;
  readonly file: string;
}

function welcome({ port, oldPort, messages, file }: Places): string {
  return `
The old server:  ${host} port ${oldPort} (IMAP), with ${messages} messages of one user
Mailferry:       ${host} port ${port} (IMAP, no TLS), still empty
User, password:  ${user}, ${password}

Log in through Mailferry with any mail client, and see here how the mail is pulled across:

  curl -u ${user}:${password} imap://${host}:${port}/
  curl -u ${user}:${password} 'imap://${host}:${port}/INBOX;MAILINDEX=1'
  mutt -e 'set ssl_force_tls=no' -f imap://${user}:${password}@${host}:${port}/INBOX

The other commands work, too, from another terminal:

  npm run -s mailferry -- status -c ${file} ${user}
  npm run -s mailferry -- verify -c ${file} ${user}

Ctrl-C ends the demo.
`;
}

/** The preferred one where it is free. */
async function frontPort(wanted: number | undefined): Promise<number> {
  if (wanted !== undefined) return wanted;
  const probe = createServer();
  return new Promise((resolve) => {
    probe.once("error", () => resolve(0));
    probe.listen(preferredPort, host, () => probe.close(() => resolve(preferredPort)));
  });
}

function toPort(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new InvalidArgumentError("Expected a port number.");
  return port;
}
