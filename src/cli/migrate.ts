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
import { exitFailed, exitOk } from "./exit-codes.ts";
import { formatBytes, formatDuration } from "./format.ts";
import type { MigrateProgress, MigrateResult } from "./operations.ts";

export function migrateCommand(): Command {
  return mailferryCommand("migrate", "pull one user's whole mail from the legacy server")
    .argument("<user>", "as the user logs in")
    .addOption(passwordOption())
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
Returns when every message is in the Maildir and on stable storage. Run again, it fetches only what is
missing; while the server runs, it joins the pull that is under way there.

Examples:
  mailferry migrate -c /etc/mailferry.yaml alice@example.com --password-file alice.pw
  mailferry migrate -c /etc/mailferry.yaml alice@example.com --json   # with the password of her last login`,
    )
    .action(run);
}

async function run(user: string, options: CommonOptions): Promise<void> {
  const report = options.json ? reportJson : process.stdout.isTTY ? reportBar : reportLines();
  const result = (await perform(options, "migrate", user, (progress) =>
    report(progress as MigrateProgress),
  )) as MigrateResult;
  if (options.json) printJson({ event: "result", ...result });
  else printResult(result);
  process.exitCode = result.complete ? exitOk : exitFailed;
}

function reportJson(progress: MigrateProgress): void {
  printJson({ event: "progress", ...progress, ...ratesOf(progress) });
}

/** One line, drawn over: a bar, messages and bytes a second, time left. */
function reportBar(progress: MigrateProgress): void {
  const width = 24;
  const share = progress.bytes > 0 ? progress.bytesHere / progress.bytes : 0;
  const filled = Math.round(share * width);
  const bar = `${"█".repeat(filled)}${"░".repeat(width - filled)}`;
  process.stdout.write(
    `\r\x1b[2K${bar} ${String(Math.floor(share * 100)).padStart(3)} %  ${describe(progress)}`,
  );
}

function reportLines(): (progress: MigrateProgress) => void {
  const everyMs = 2_000;
  let last = 0;
  return (progress) => {
    if (progress.elapsedMs - last < everyMs) return;
    last = progress.elapsedMs;
    printLine(describe(progress));
  };
}

function describe(progress: MigrateProgress): string {
  const { messagesPerSecond, bytesPerSecond, etaSeconds } = ratesOf(progress);
  const rates = `${messagesPerSecond} messages/s, ${formatBytes(bytesPerSecond)}/s`;
  const eta = etaSeconds === null ? "" : `, ${formatDuration(etaSeconds)} left`;
  return `${progress.messagesHere} of ${progress.messages} messages, ${rates}${eta}`;
}

function ratesOf(progress: MigrateProgress): {
  messagesPerSecond: number;
  bytesPerSecond: number;
  etaSeconds: number | null;
} {
  const seconds = progress.elapsedMs / 1000;
  const messagesPerSecond = seconds > 0 ? Math.round(progress.messagesDone / seconds) : 0;
  const bytesPerSecond = seconds > 0 ? Math.round(progress.bytesDone / seconds) : 0;
  const left = progress.bytes - progress.bytesHere;
  return {
    messagesPerSecond,
    bytesPerSecond,
    etaSeconds: bytesPerSecond > 0 ? Math.ceil(left / bytesPerSecond) : null,
  };
}

function printResult(result: MigrateResult): void {
  if (process.stdout.isTTY) process.stdout.write("\r\x1b[2K");
  for (const problem of result.problems) printLine(`not here: ${problem}`);
  const what = `${result.messagesHere} of ${result.messages} messages (${formatBytes(result.bytesHere)})`;
  const where = `in ${result.mailboxes} mailboxes`;
  const verdict = result.complete ? "complete" : "INCOMPLETE";
  printLine(`${result.user}: ${verdict}: ${what} ${where}, ${formatDuration(result.elapsedMs / 1000)}`);
}
