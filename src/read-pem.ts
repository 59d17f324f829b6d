import { readFileSync } from "node:fs";
import { ConfigError } from "./errors.ts";

/** A file that the configuration names under `key`. */
export function readPem(key: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new ConfigError(
      `${key}: ${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? error})`,
    );
  }
}
