/** Failures of an old server that concern all its users. */
import { MailError } from "../errors.ts";
import type { LegacyServerConfig } from "./server-config.ts";

/** Stands between the MailError and its cause when the server never got as far as greeting. */
class HostFailure extends Error {
  override readonly name = "HostFailure";
}

export function hostFailure(error: unknown, { host, port }: LegacyServerConfig): MailError {
  const said = error instanceof Error ? error.message : String(error);
  const message = said === "Unexpected close" ? "it closes the connection before the login" : said;
  const cause = new HostFailure(`no greeting from ${host}:${port}`, { cause: error });
  return new MailError("UNAVAILABLE", `The old server ${host}:${port}: ${message}`, cause);
}

export function isHostFailure(error: unknown): boolean {
  return error instanceof MailError && error.cause instanceof HostFailure;
}
