import type { Config } from "../config.ts";
import { startCutoverPolicy } from "../cutover-policy.ts";
import { MailError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { createMailferry, type Mailferry } from "../server.ts";
import { lockDataDir } from "../store/data-dir.ts";
import { serveControl } from "./control.ts";
import { runOperation } from "./run-operation.ts";

/** Owns the data folder and answers the other commands for as long as `work` runs; `work` lets it listen. */
export async function withServer<T>(
  config: Config,
  logger: Logger,
  work: (mailferry: Mailferry) => Promise<T>,
): Promise<T> {
  const lock = lockDataDir(config.dataDir);
  if (!lock) throw new MailError("INUSE", `${config.dataDir} is in use by another process`);
  try {
    const mailferry = await createMailferry(config, logger);
    const policy = startCutoverPolicy({ config: config.cutover, mailferry, logger });
    try {
      const control = await serveControl(config.dataDir, (operation, request) =>
        runOperation(mailferry, operation, request),
      );
      try {
        return await work(mailferry);
      } finally {
        await control.close();
      }
    } finally {
      policy.stop();
      await mailferry.close();
      await policy.ended;
    }
  } finally {
    lock.release();
  }
}

/** Resolves when `signal` aborts. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((stop) => signal.addEventListener("abort", () => stop(), { once: true }));
}
