import type { Command } from "commander";
import { loadConfig } from "../config.ts";
import { createLogger } from "../log.ts";
import { type CommonOptions, mailferryCommand, printJson, withSignals } from "./command.ts";
import { exitOk } from "./exit-codes.ts";
import { aborted, withServer } from "./run-server.ts";

export function serveCommand(): Command {
  return mailferryCommand(
    "serve",
    "serve IMAP and POP3 in front of the legacy server, pulling each account on its first login",
  )
    .addHelpText(
      "after",
      `
Prints one JSON line with the bound addresses and ports when everything listens, and logs to standard
error. SIGTERM or SIGINT: running commands are finished, clients get BYE, everything is flushed.

Examples:
  mailferry serve -c /etc/mailferry.yaml
  mailferry serve -c config/local.yaml 2> mailferry.log`,
    )
    .action(run);
}

async function run(options: CommonOptions): Promise<void> {
  const config = loadConfig(options.config);
  const logger = createLogger(config.log);
  await withSignals((signal) =>
    withServer(config, logger, async (mailferry) => {
      printJson({ listening: await mailferry.listen() });
      await aborted(signal);
      logger.info("stopping");
    }),
  );
  process.exitCode = exitOk;
}
