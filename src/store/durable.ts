/** Brings what was written to stable storage. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { StoreContext } from "./store-context.ts";

const run = promisify(execFile);

/** Generous: a slow disk with much unwritten data takes its time, a hanging one must not hold us for ever. */
const syncTimeoutMs = 10 * 60_000;

/** The databases' logs are moved first, so that what is flushed is whole. */
export async function makeDurable({ directory, database, writer, logger }: StoreContext): Promise<void> {
  database.flush();
  try {
    // syncfs(2), which Node does not have: one call for the whole file system.
    await run("sync", ["-f", directory], { timeout: syncTimeoutMs });
  } catch (error) {
    logger.debug({ err: error }, "sync -f is not to be had, flushing file by file");
    await writer.run({ kind: "sync", directory });
  }
}
