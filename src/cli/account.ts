import { Command } from "commander";
import {
  type CommonOptions,
  jsonOption,
  mailferryCommand,
  perform,
  printJson,
  printLine,
} from "./command.ts";

export function accountCommand(): Command {
  const create = mailferryCommand("create", "make an empty account that is Mailferry's own")
    .argument("<user>", "as the user will log in")
    .requiredOption("--password-file <file>", "the user's password: the first line of this file")
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
The account is in stage local: no legacy server is asked about it. It can be used at once, while the server
runs, too.

Examples:
  mailferry account create -c /etc/mailferry.yaml bob@example.com --password-file bob.pw`,
    )
    .action(run);
  return new Command("account")
    .description("make accounts")
    .addHelpText(
      "after",
      "\nExamples:\n  mailferry account create -c /etc/mailferry.yaml bob@example.com --password-file bob.pw",
    )
    .addCommand(create.exitOverride());
}

async function run(user: string, options: CommonOptions): Promise<void> {
  const created = (await perform(options, "create-account", user, () => undefined)) as { user: string };
  if (options.json) printJson(created);
  else printLine(`${created.user}: created, stage local`);
}
