import type { Command } from "commander";
import {
  type CommonOptions,
  jsonOption,
  mailferryCommand,
  passwordOption,
  perform,
  printJson,
  printLine,
} from "./command.ts";
import type { RollbackResult } from "./operations.ts";

export function rollbackCommand(): Command {
  return mailferryCommand("rollback", "give one user's mail back to the legacy server")
    .argument("<user>", "as the user logs in")
    .addOption(passwordOption())
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
Undoes a cutover: what has changed here since (new mail, flags, deletions, mailboxes, subscriptions) is written to
the legacy server, under the same UIDs wherever they are free; it is looked at again whether all is there, and from
then on the legacy server has the last word, as before the cutover. Sessions that are open go on. What could not be
kept is told line by line: mailboxes made since the cutover have another UIDVALIDITY there. If anything stands
against it, it says what, and the account stays Mailferry's own; run it again. Mail that came to the legacy server
in the meantime stays there.

The password has to be one that the legacy server takes: that of a user who is logged in, or from the file.

Examples:
  mailferry rollback -c /etc/mailferry.yaml alice@example.com --password-file alice.pw`,
    )
    .action(run);
}

async function run(user: string, options: CommonOptions): Promise<void> {
  const result = (await perform(options, "rollback", user, () => undefined)) as RollbackResult;
  if (options.json) return printJson(result);
  for (const note of result.notes) printLine(note);
  if (result.heldMs === undefined) printLine(`${result.user}: nothing is to do, it is the legacy server's`);
  else printLine(`${result.user}: the legacy server's again; changes waited for ${result.heldMs} ms`);
  if (result.hookProblem !== undefined) printLine(`${result.user}: ${result.hookProblem}`);
}
