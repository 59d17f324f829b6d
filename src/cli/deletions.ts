import { type Command, Option } from "commander";
import type { EncodedMailboxName } from "../mail/ids.ts";
import { decodeMailboxName } from "../mail/mailbox-name.ts";
import {
  type CommonOptions,
  jsonOption,
  mailferryCommand,
  passwordOption,
  perform,
  printJson,
  printLine,
} from "./command.ts";
import type { HeldResult } from "./operations.ts";
import { operatorName } from "./operator.ts";

interface DeletionsOptions extends CommonOptions {
  readonly accept?: boolean;
  readonly refuse?: boolean;
}

export function deletionsCommand(): Command {
  return mailferryCommand("deletions", "decide on mail that the legacy server has suddenly lost or made anew")
    .argument("<user>", "as the user logs in")
    .addOption(new Option("--accept", "believe the legacy server: the messages go here, too"))
    .addOption(new Option("--refuse", "put the messages into the mailbox Rescued").conflicts("accept"))
    .addOption(passwordOption())
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
When more than half of a mailbox of 50 messages or more is gone from the legacy server at once, and nobody
deleted it through Mailferry, the messages are kept and clients go on seeing them, until this command decides.
When the legacy server changes the UIDVALIDITY of a mailbox, clients see it, and its migration stops; --accept
lets it go on. When it gives other messages under the same UIDVALIDITY, as after a restore from a backup, clients see
the mailbox anew, and what the legacy server has no more is set aside until this command decides.
A mailbox that the legacy server does not list any more goes when that is certain, unless most of the account's mail
goes with it; its files are set aside for some days, and this command names them.
Without --accept or --refuse it shows what is held; "mailferry problems" shows it among all else that stands in
the way, and decides one by one.

Examples:
  mailferry deletions -c /etc/mailferry.yaml alice@example.com
  mailferry deletions -c /etc/mailferry.yaml alice@example.com --refuse --password-file alice.pw`,
    )
    .action(run);
}

async function run(user: string, options: DeletionsOptions): Promise<void> {
  const operation = options.accept
    ? "accept-deletions"
    : options.refuse
      ? "refuse-deletions"
      : "held-deletions";
  const decision = { choice: options.accept ? "accept" : "refuse", by: operatorName() } as const;
  const result = (await perform(options, operation, user, () => undefined, decision)) as HeldResult;
  if (options.json) return printJson(result);
  const { held, rescued, setAside = [] } = result;
  if (held.length === 0) printLine("nothing is held");
  const done = options.accept ? "are gone" : options.refuse ? `are in ${nameOf(rescued ?? "")}` : "are held";
  for (const { mailbox, messages, problem, isMissing } of held) {
    if (isMissing && done !== "are held") printLine(`${nameOf(mailbox)}: its ${messages} messages ${done}`);
    else if (problem === undefined) printLine(`${nameOf(mailbox)}: ${messages} messages ${done}`);
    else printLine(`${nameOf(mailbox)}: ${options.accept ? "the migration goes on" : problem}`);
  }
  for (const { name, messages, path, atMs } of setAside) {
    const since = new Date(atMs).toISOString();
    printLine(
      `${nameOf(name)}: gone since ${since}; its ${messages} messages are kept in ${path} for some days`,
    );
  }
}

function nameOf(name: string): string {
  return decodeMailboxName(name as EncodedMailboxName);
}
