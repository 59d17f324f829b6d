import { writeFileSync } from "node:fs";
import { type Command, Option } from "commander";
import { ConfigError } from "../errors.ts";
import type { HandoverReport } from "../migration/handover.ts";
import {
  type CommonOptions,
  jsonOption,
  mailferryCommand,
  perform,
  printFirst,
  printJson,
  printLine,
} from "./command.ts";
import { exitFailed, exitOk } from "./exit-codes.ts";

interface HandoverOptions extends CommonOptions {
  readonly script?: string;
}

export function handoverCommand(): Command {
  return mailferryCommand("handover", "check and complete one user's Maildir for a stock Dovecot")
    .argument("<user>", "as the user logs in; the account has to be local")
    .addOption(new Option("--script <file>", "where the doveadm script goes; without it, to standard output"))
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
Writes dovecot-uidlist, dovecot-keywords, dovecot-uidvalidity and subscriptions anew, reads them and every
message's file name, size and date back, and compares all with what clients are shown. What a Maildir cannot
hold (HIGHESTMODSEQ, keywords past the 26th of a mailbox) goes into a script for sh with doveadm commands, with
the configuration that Dovecot needs in its comments. Changes by clients wait meanwhile. Exit code 1 if anything
does not agree.

Run it once Mailferry is stopped, or again then: the account goes on while it serves. Dovecot has to run its mail
processes as the user who owns the files, and the script comes before the first login there. Passwords are not
handed over.

Examples:
  mailferry handover -c /etc/mailferry.yaml alice@example.com --script alice.sh
  DOVEADM='doveadm -c /etc/dovecot/dovecot.conf' sh alice.sh`,
    )
    .action(run);
}

async function run(user: string, options: HandoverOptions): Promise<void> {
  const report = (await perform(options, "handover", user, () => undefined)) as HandoverReport;
  process.exitCode = report.problems.length === 0 ? exitOk : exitFailed;
  if (options.script !== undefined) writeScript(options.script, report.script);
  if (options.json) return printJson(report);
  if (options.script !== undefined) return print(report, printLine);
  // The whole of the output is a script then.
  print(report, (line) => printLine(`# ${line}`));
  process.stdout.write(report.script);
}

function print({ user, mailboxes, messages, problems, notes }: HandoverReport, line: typeof printLine): void {
  line(`${user}: ${mailboxes} mailboxes, ${messages} messages`);
  printFirst(
    problems,
    (problem) => problem,
    (more) => `${more} more that do not agree`,
    line,
  );
  for (const note of notes) line(`note: ${note}`);
  line(problems.length === 0 ? "ready for Dovecot" : `NOT READY: ${problems.length} do not agree`);
}

function writeScript(file: string, script: string): void {
  try {
    writeFileSync(file, script);
  } catch (error) {
    throw new ConfigError(`${file}: cannot be written (${(error as NodeJS.ErrnoException).code ?? error})`);
  }
}
