/**
 * The command line: one file per command. Exit codes: 0 done, 1 failed, 2 usage or configuration.
 */
import { Command, CommanderError } from "commander";
import packageJson from "../../package.json" with { type: "json" };
import { accountCommand } from "./account.ts";
import { fail } from "./command.ts";
import { cutoverCommand } from "./cutover.ts";
import { deletionsCommand } from "./deletions.ts";
import { demoCommand } from "./demo.ts";
import { exitUsage } from "./exit-codes.ts";
import { handoverCommand } from "./handover.ts";
import { migrateCommand } from "./migrate.ts";
import { problemsCommand } from "./problems.ts";
import { rollbackCommand } from "./rollback.ts";
import { serveCommand } from "./serve.ts";
import { statusCommand } from "./status.ts";
import { verifyCommand } from "./verify.ts";

const program = new Command("mailferry")
  .description(
    "Carries mail from an old IMAP or POP3 server to new storage without one mail client noticing.",
  )
  .version(packageJson.version)
  .showHelpAfterError("(add --help for examples)")
  .addHelpText(
    "after",
    `
Examples:
  mailferry demo
  mailferry serve -c /etc/mailferry.yaml
  mailferry migrate -c /etc/mailferry.yaml alice@example.com --password-file alice.pw
  mailferry verify -c /etc/mailferry.yaml alice@example.com --password-file alice.pw
  mailferry cutover -c /etc/mailferry.yaml alice@example.com
  mailferry handover -c /etc/mailferry.yaml alice@example.com --script alice.sh
  mailferry rollback -c /etc/mailferry.yaml alice@example.com
  mailferry status -c /etc/mailferry.yaml`,
  );
for (const command of [
  serveCommand(),
  demoCommand(),
  accountCommand(),
  migrateCommand(),
  verifyCommand(),
  statusCommand(),
  problemsCommand(),
  deletionsCommand(),
  cutoverCommand(),
  rollbackCommand(),
  handoverCommand(),
]) {
  program.addCommand(command.exitOverride());
}
program.exitOverride();

// Who reads the output may have enough of it, as head(1) does.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

try {
  await program.parseAsync();
} catch (error) {
  // Commander has printed its own message, or the help that was asked for.
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : exitUsage;
  else fail(error);
}
