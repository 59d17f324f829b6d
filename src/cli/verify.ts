import { type Command, InvalidArgumentError, Option } from "commander";
import { encodedMailboxName } from "../mail/ids.ts";
import { decodeMailboxName } from "../mail/mailbox-name.ts";
import type { Difference, MailboxVerdict } from "../migration/verify.ts";
import type { MaildropVerdict } from "../migration/verify-maildrop.ts";
import type { SubscriptionsVerdict } from "../migration/verify-subscriptions.ts";
import type { AccountVerdict } from "../verify-account.ts";
import {
  type CommonOptions,
  jsonOption,
  mailferryCommand,
  passwordOption,
  perform,
  printFirst,
  printJson,
  printLine,
} from "./command.ts";
import { decisionLine } from "./decision-line.ts";
import { exitFailed, exitOk } from "./exit-codes.ts";
import { formatTable } from "./format.ts";

export function verifyCommand(): Command {
  return mailferryCommand("verify", "compare one user's mail on the legacy server with what is here")
    .argument("<user>", "as the user logs in")
    .addOption(passwordOption())
    .addOption(
      new Option(
        "--sample <N%>",
        "compare the bytes of so many messages, chosen at random (everything else of all)",
      )
        .argParser(parsePercent)
        .default(100, "100%"),
    )
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
Reads both sides anew: UIDVALIDITY, UIDNEXT, UIDs, flags, dates, sizes, and every byte of every message;
subscriptions; POP3 UIDLs, their order and sizes where the legacy server has POP3. Exit code 1 on any difference.

Examples:
  mailferry verify -c /etc/mailferry.yaml alice@example.com --password-file alice.pw
  mailferry verify -c /etc/mailferry.yaml alice@example.com --sample 5%
  mailferry verify -c /etc/mailferry.yaml alice@example.com --json > alice.verdict.json`,
    )
    .action(run);
}

function parsePercent(text: string): number {
  const percent = /^\d+(\.\d+)?%?$/.test(text) ? Number.parseFloat(text) : Number.NaN;
  if (!(percent <= 100)) throw new InvalidArgumentError("expected a share from 0% to 100%");
  return percent;
}

async function run(user: string, options: CommonOptions): Promise<void> {
  const verdict = (await perform(options, "verify", user, () => undefined)) as AccountVerdict;
  if (options.json) printJson(verdict);
  else print(verdict);
  process.exitCode = verdict.equal ? exitOk : exitFailed;
}

function print(verdict: AccountVerdict): void {
  const header = ["mailbox", "legacy", "here", "bytes compared", "missing", "extra", "not pulled", "differ"];
  if (verdict.mailboxes.length > 0) printLine(formatTable(header, verdict.mailboxes.map(row)));
  for (const mailbox of verdict.mailboxes) {
    printDifferences(mailbox);
    printOdd(mailbox);
  }
  if (verdict.subscriptions) printSubscriptions(verdict.subscriptions);
  if (verdict.maildrop) printMaildrop(verdict.maildrop);
  for (const word of verdict.decisions ?? []) printLine(decisionLine(word));
  const { samplePercent } = verdict;
  const sampled = samplePercent === 100 ? "" : ` (the bytes of ${samplePercent} % of the messages compared)`;
  printLine(`${verdict.equal ? "equal" : "NOT EQUAL"}${sampled}`);
}

function row({
  name,
  messagesLegacy,
  messagesHere,
  bytesCompared,
  differences,
}: MailboxVerdict): (string | number)[] {
  const count = (...kinds: Difference["kind"][]): number =>
    differences.filter(({ kind }) => kinds.includes(kind)).length;
  return [
    decodeMailboxName(name),
    messagesLegacy,
    messagesHere,
    bytesCompared,
    count("missing"),
    count("extra"),
    count("not-pulled"),
    count("mailbox", "uidnext", "flags", "date", "size", "bytes"),
  ];
}

function printSubscriptions({ differences }: SubscriptionsVerdict): void {
  printFirst(
    differences,
    ({ name, detail }) => `${decodeMailboxName(encodedMailboxName(name))}: ${detail}`,
    (more) => `subscriptions: ${more} more differences`,
  );
}

function printMaildrop({ messagesLegacy, messagesHere, bytesCompared, differences }: MaildropVerdict): void {
  const bytes = bytesCompared === 0 ? "" : `, ${bytesCompared} bytes compared`;
  printLine(
    `POP3: ${messagesLegacy} messages there, ${messagesHere} here${bytes}, ${differences.length} differences`,
  );
  printFirst(
    differences,
    ({ number, uidl, detail }) =>
      `POP3${number === undefined ? "" : ` message ${number}`} (UIDL ${uidl}): ${detail}`,
    (more) => `POP3: ${more} more differences`,
  );
}

/** What no comparison can hold against this side. */
function printOdd({ name, rewritten, undated, isLeftOut = false }: MailboxVerdict): void {
  const mailbox = decodeMailboxName(name);
  if (isLeftOut) printLine(`${mailbox}: not compared: a cutover goes without it (problems --help)`);
  if (rewritten > 0)
    printLine(`${mailbox}: ${rewritten} differ in header fields that the legacy server writes itself, only`);
  if (undated > 0) printLine(`${mailbox}: of ${undated} the legacy server tells another date at each look`);
}

function printDifferences({ name, differences }: MailboxVerdict): void {
  const mailbox = decodeMailboxName(name);
  printFirst(
    differences,
    (difference) => {
      const where = "uid" in difference ? ` UID ${difference.uid}` : "";
      return `${mailbox}${where}: ${difference.kind}: ${difference.detail}`;
    },
    (more) => `${mailbox}: ${more} more differences`,
  );
}
