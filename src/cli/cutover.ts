import { type Command, Option } from "commander";
import {
  type CommonOptions,
  jsonOption,
  mailferryCommand,
  passwordOption,
  perform,
  printJson,
  printLine,
  withSignals,
} from "./command.ts";
import { exitFailed, exitOk } from "./exit-codes.ts";
import type { AccountStatus, CutoverResult } from "./operations.ts";

interface CutoverOptions extends CommonOptions {
  readonly ready?: boolean;
  readonly domain?: string;
  readonly dryRun?: boolean;
}

export function cutoverCommand(): Command {
  return mailferryCommand("cutover", "take users' mail over from the legacy server for good")
    .argument("[user]", "as the user logs in")
    .addOption(new Option("--ready", "each account that is complete and whose user has logged in"))
    .addOption(new Option("--domain <domain>", "each account of this domain that is complete"))
    .addOption(new Option("--dry-run", "bring everything across and compare, and change nothing else"))
    .addOption(passwordOption().conflicts(["ready", "domain"]))
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
Brings across what is missing, compares both sides byte by byte, takes in the last changes while clients' own
wait for a moment, and from then on the account is Mailferry's own: sessions that are open go on. It returns when
that is done and on stable storage. If anything stands against it, it says what, and the account goes on as
before.
With --ready or --domain (or both: those of the domain that are ready) it takes one account after the other, tells
each outcome in a line, and goes on where one fails; exit code 0 only when all of them are local.

Examples:
  mailferry cutover -c /etc/mailferry.yaml alice@example.com --dry-run
  mailferry cutover -c /etc/mailferry.yaml alice@example.com --password-file alice.pw
  mailferry cutover -c /etc/mailferry.yaml --ready
  mailferry cutover -c /etc/mailferry.yaml --domain example.com --dry-run`,
    )
    .action(run);
}

async function run(user: string | undefined, options: CutoverOptions, command: Command): Promise<void> {
  const isMany = options.ready === true || options.domain !== undefined;
  if ((user === undefined) !== isMany) command.error("error: expected either a user, or --ready or --domain");
  if (user === undefined) return cutOverMany(options);
  const result = await cutOverOne(user, options);
  if (options.json) printJson(result);
  else printLine(`${result.user}: ${describe(result)}`);
}

async function cutOverOne(user: string, options: CutoverOptions): Promise<CutoverResult> {
  const operation = options.dryRun ? "cutover-dry-run" : "cutover";
  return (await perform(options, operation, user, () => undefined)) as CutoverResult;
}

function describe({ wasLocal, heldMs, hookProblem }: CutoverResult): string {
  if (wasLocal) return "is local already";
  if (heldMs === undefined) return "nothing stands against it";
  return `local; changes waited for ${heldMs} ms${hookProblem === undefined ? "" : `; ${hookProblem}`}`;
}

/** One after the other: the failure of one does not end the others. */
async function cutOverMany(options: CutoverOptions): Promise<void> {
  const { ready = false, domain, json = false } = options;
  const all = (await perform(options, "status", undefined, () => undefined)) as readonly AccountStatus[];
  const ofDomain = domain === undefined ? all : all.filter(({ user }) => isOfDomain(user, domain));
  const chosen = ready ? ofDomain.filter(isReady) : ofDomain;
  if (!json) tellLeftOut(ofDomain, chosen, options);
  let isDone = ready || ofDomain.length > 0;
  await withSignals(async (signal) => {
    for (const account of chosen) {
      const told = await cutOverInTurn(account, options, signal);
      if (!told.ok) isDone = false;
      if (json) printJson(told);
      else printLine(`${account.user}: ${told.ok ? describe(told) : `FAILED: ${told.reason}`}`);
    }
  });
  process.exitCode = isDone ? exitOk : exitFailed;
}

type OutcomeInTurn =
  | ({ readonly ok: true } & CutoverResult)
  | { readonly ok: false; readonly user: string; readonly reason: string };

async function cutOverInTurn(
  { user, stage }: AccountStatus,
  options: CutoverOptions,
  signal: AbortSignal,
): Promise<OutcomeInTurn> {
  if (stage === "new" || stage === "mirroring")
    return { ok: false, user, reason: `it is not complete, but ${stage}` };
  try {
    return { ok: true, ...(await cutOverOne(user, options)) };
  } catch (error) {
    signal.throwIfAborted();
    return { ok: false, user, reason: (error as Error).message };
  }
}

function isOfDomain(user: string, domain: string): boolean {
  return user.endsWith(`@${domain.toLowerCase()}`);
}

function isReady({ stage, credentialsKnown }: AccountStatus): boolean {
  return stage === "complete" && credentialsKnown;
}

function tellLeftOut(
  all: readonly AccountStatus[],
  chosen: readonly AccountStatus[],
  { domain }: CutoverOptions,
): void {
  const waiting = all.filter((account) => account.stage === "complete" && !chosen.includes(account)).length;
  if (chosen.length === 0)
    printLine(domain === undefined ? "no account is ready" : `no account of ${domain} is to be cut over`);
  if (waiting > 0) printLine(`left out: ${waiting} complete accounts whose users are not logged in`);
}
