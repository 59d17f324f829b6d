/**
 * What the commands share: their options, where their output goes, and how an error becomes an exit code.
 */
import { readFileSync } from "node:fs";
import { Command, Option } from "commander";
import { type Config, loadConfig } from "../config.ts";
import { ConfigError, MailError } from "../errors.ts";
import { createLogger, type Logger } from "../log.ts";
import { Secret } from "../mail/secret.ts";
import type { Decision } from "../migration/settle-hindrances.ts";
import { createMailferry } from "../server.ts";
import { lockDataDir } from "../store/data-dir.ts";
import { callControl } from "./control.ts";
import { exitFailed, exitUsage } from "./exit-codes.ts";
import type { Operation, OperationRequest } from "./operations.ts";
import { runOperation } from "./run-operation.ts";

export interface CommonOptions {
  readonly config: string;
  readonly json?: boolean;
  readonly passwordFile?: string;
  /** Of `verify`, in percent. */
  readonly sample?: number;
}

/** A command with the options that all have. */
export function mailferryCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .addOption(new Option("-c, --config <file>", "the configuration file").makeOptionMandatory())
    .showHelpAfterError("(add --help for examples)");
}

export const jsonOption = (): Option => new Option("--json", "print JSON for machines");
export const passwordOption = (): Option =>
  new Option(
    "--password-file <file>",
    "the user's password on the legacy server: the first line of this file; without it, what the running server has",
  );

/** Lines for people when standard output is a terminal or a file; never colours or cursor tricks. */
export function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** The first 20 of them, and how many more there are, which `--json` prints. */
export function printFirst<T>(
  items: readonly T[],
  lineOf: (item: T) => string,
  restOf: (count: number) => string,
  print: (line: string) => void = printLine,
): void {
  const maxPrinted = 20;
  for (const item of items.slice(0, maxPrinted)) print(lineOf(item));
  const more = items.length - maxPrinted;
  if (more > 0) print(`${restOf(more)} (--json has them all)`);
}

export function printJson(value: unknown): void {
  printLine(JSON.stringify(value));
}

/** The first line of a file without its line end (LF or CRLF). */
export function readPassword(file: string | undefined): Secret | undefined {
  if (file === undefined) return undefined;
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new ConfigError(`${file}: cannot be read (${(error as NodeJS.ErrnoException).code ?? error})`);
  }
  return new Secret((text.split("\n", 1)[0] ?? "").replace(/\r$/, ""));
}

/** Aborts on these for as long as `work` runs. */
export async function withSignals<T>(
  work: (signal: AbortSignal) => Promise<T>,
  names: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM"],
): Promise<T> {
  const controller = new AbortController();
  const stop = (name: NodeJS.Signals): void => controller.abort(new Error(`stopped by ${name}`));
  for (const name of names) process.on(name, stop);
  try {
    return await work(controller.signal);
  } finally {
    for (const name of names) process.off(name, stop);
  }
}

/**
 * Runs an operation where the data folder is owned: in the running server, through its control socket,
 * or here when no server runs.
 */
export async function perform(
  options: CommonOptions,
  operation: Operation,
  user: string | undefined,
  onProgress: (progress: unknown) => void,
  decision?: Decision,
): Promise<unknown> {
  const config = loadConfig(options.config);
  const password = readPassword(options.passwordFile);
  return withSignals(async (signal) => {
    const samplePercent = options.sample;
    const request: OperationRequest = { user, password, samplePercent, decision, signal, onProgress };
    const answered = await callControl(config.dataDir, operation, request);
    if (answered) return answered.result;
    return performHere(config, operation, request);
  });
}

async function performHere(
  config: Config,
  operation: Operation,
  request: OperationRequest,
): Promise<unknown> {
  const lock = lockDataDir(config.dataDir);
  if (!lock) throw new MailError("INUSE", `${config.dataDir} is in use by another process`);
  try {
    const mailferry = await createMailferry(config, commandLogger(config));
    try {
      return await runOperation(mailferry, operation, request);
    } finally {
      await mailferry.close();
    }
  } finally {
    lock.release();
  }
}

/** A command's own output is what its user reads: only warnings come from the log. */
function commandLogger(config: Config): Logger {
  const { level, pretty } = config.log;
  return createLogger({ level: level === "info" ? "warn" : level, pretty });
}

/** Ends the command: one line on standard error and an exit code. */
export function fail(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`${message}\n`);
  if (
    !(error instanceof MailError || error instanceof ConfigError) &&
    error instanceof Error &&
    error.stack
  ) {
    process.stderr.write(`${error.stack}\n`);
  }
  process.exitCode = error instanceof ConfigError ? exitUsage : exitFailed;
}
