import { type Command, Option } from "commander";
import {
  type CommonOptions,
  jsonOption,
  mailferryCommand,
  passwordOption,
  perform,
  printJson,
  printLine,
} from "./command.ts";
import type { CutoverResult } from "./operations.ts";

interface CutoverOptions extends CommonOptions {
  readonly dryRun?: boolean;
}

export function cutoverCommand(): Command {
  return mailferryCommand("cutover", "take one user's mail over from the legacy server for good")
    .argument("<user>", "as the user logs in")
    .addOption(new Option("--dry-run", "bring everything across and compare, and change nothing else"))
    .addOption(passwordOption())
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
Brings across what is missing, compares both sides byte by byte, takes in the last changes while clients' own
wait for a moment, and from then on the account is Mailferry's own: sessions that are open go on. It returns when
that is done and on stable storage. If anything stands against it, it says what, and the account goes on as
before.

Examples:
  mailferry cutover -c /etc/mailferry.yaml alice@example.com --dry-run
  mailferry cutover -c /etc/mailferry.yaml alice@example.com --password-file alice.pw`,
    )
    .action(run);
}

async function run(user: string, options: CutoverOptions): Promise<void> {
  const operation = options.dryRun ? "cutover-dry-run" : "cutover";
  const result = (await perform(options, operation, user, () => undefined)) as CutoverResult;
  if (options.json) return printJson(result);
  if (result.wasLocal) printLine(`${result.user}: is local already`);
  else if (result.heldMs === undefined) printLine(`${result.user}: nothing stands against it`);
  else printLine(`${result.user}: local; changes waited for ${result.heldMs} ms`);
  if (result.hookProblem !== undefined) printLine(`${result.user}: ${result.hookProblem}`);
}
