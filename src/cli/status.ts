import type { Command } from "commander";
import type { EncodedMailboxName } from "../mail/ids.ts";
import { decodeMailboxName } from "../mail/mailbox-name.ts";
import {
  type CommonOptions,
  jsonOption,
  mailferryCommand,
  perform,
  printFirst,
  printJson,
  printLine,
} from "./command.ts";
import { decisionLine } from "./decision-line.ts";
import { formatBytes, formatTable } from "./format.ts";
import type { AccountStatus } from "./operations.ts";

export function statusCommand(): Command {
  return mailferryCommand("status", "show how far accounts have come")
    .argument("[user]", "one user, mailbox by mailbox; without it, all accounts")
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
Examples:
  mailferry status -c /etc/mailferry.yaml
  mailferry status -c /etc/mailferry.yaml alice@example.com --json`,
    )
    .action(run);
}

async function run(user: string | undefined, options: CommonOptions): Promise<void> {
  const accounts = (await perform(options, "status", user, () => undefined)) as AccountStatus[];
  if (options.json) printJson(user === undefined ? accounts : accounts[0]);
  else if (accounts.length === 0) printLine("no accounts yet: they appear with the first login or migrate");
  else printAccounts(accounts);
}

function printAccounts(accounts: readonly AccountStatus[]): void {
  const header = ["user", "stage", "mailboxes", "messages", "here", "bytes here", "last login", "last error"];
  const rows = accounts.map((account) => [
    account.user,
    account.pulling ? `${account.stage} (pulling)` : account.stage,
    account.mailboxes,
    account.messages,
    account.messagesHere,
    formatBytes(account.bytesHere),
    account.lastLoginAt ?? "-",
    account.lastError ?? "-",
  ]);
  printLine(formatTable(header, rows));
  for (const { perMailbox, maildrop, decisions, repairs } of accounts) {
    if (perMailbox) printMailboxes(perMailbox);
    if (maildrop) printMaildrop(maildrop);
    for (const word of decisions ?? []) printLine(decisionLine(word));
    for (const { at, words } of repairs ?? []) printLine(`${at}: ${words}`);
  }
}

function printMaildrop({ messages, matched, problems }: NonNullable<AccountStatus["maildrop"]>): void {
  printLine("");
  printLine(`POP3: ${matched} of ${messages} messages of the maildrop are known by their UIDLs`);
  printFirst(
    problems,
    (problem) => problem,
    (more) => `${more} more problems`,
  );
}

function printMailboxes(mailboxes: NonNullable<AccountStatus["perMailbox"]>): void {
  const rows = mailboxes.map((mailbox) => [
    decodeMailboxName(mailbox.name as EncodedMailboxName),
    mailbox.messages,
    mailbox.messagesHere,
    formatBytes(mailbox.bytesHere),
    [...mailbox.problems, ...mailbox.notes].join("; "),
  ]);
  printLine("");
  printLine(formatTable(["mailbox", "messages", "here", "bytes here", "problems"], rows));
}
