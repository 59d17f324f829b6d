/** What is in a folder; nothing where there is none. */
import { readdirSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { errorCode } from "./store-errors.ts";

export async function namesIn(path: string): Promise<readonly string[]> {
  return readdir(path).catch(noneIfGone);
}

export function namesInNow(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    return noneIfGone(error);
  }
}

function noneIfGone(error: unknown): readonly string[] {
  if (errorCode(error) !== "ENOENT") throw error;
  return [];
}
