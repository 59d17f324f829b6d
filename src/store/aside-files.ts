/** Files of messages that were set aside until somebody decides (set-aside.ts): in `<account>/lost/`. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { removeIfThere } from "./mailbox-folder.ts";
import { errorCode } from "./store-errors.ts";

export async function readAside(directory: string, fileName: string): Promise<Buffer | undefined> {
  try {
    return await readFile(join(directory, "lost", fileName));
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

export function removeAside(directory: string, fileName: string): void {
  removeIfThere(join(directory, "lost", fileName));
}
