import type { Command } from "commander";
import { loadConfig } from "../config.ts";
import { MailError } from "../errors.ts";
import { createLogger } from "../log.ts";
import { createMailferry } from "../server.ts";
import { lockDataDir } from "../store/data-dir.ts";
import { type CommonOptions, mailferryCommand, printJson, withSignals } from "./command.ts";
import { serveControl } from "./control.ts";
import { exitOk } from "./exit-codes.ts";
import { runOperation } from "./run-operation.ts";

export function serveCommand(): Command {
  return mailferryCommand(
    "serve",
    "serve IMAP in front of the legacy server, pulling each account on its first login",
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
  const lock = lockDataDir(config.dataDir);
  if (!lock) throw new MailError("INUSE", `${config.dataDir} is in use by another process`);
  try {
    const mailferry = await createMailferry(config, logger);
    try {
      await withSignals(async (signal) => {
        const control = await serveControl(config.dataDir, (operation, request) =>
          runOperation(mailferry, operation, request),
        );
        try {
          printJson({ listening: await mailferry.listen() });
          await new Promise<void>((stop) => signal.addEventListener("abort", () => stop(), { once: true }));
          logger.info("stopping");
        } finally {
          await control.close();
        }
      });
    } finally {
      await mailferry.close();
    }
  } finally {
    lock.release();
  }
  process.exitCode = exitOk;
}
