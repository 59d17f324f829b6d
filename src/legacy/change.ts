/**
 * Commands that change something. A connection that has been idle may be dead without a sign, so it is
 * asked something harmless first: what is lost after that was sent, and is never sent again blindly.
 */
import { OutcomeUnknown } from "../errors.ts";
import type { NameChange } from "../mail/name-change.ts";
import { type CommandPart, nameArgument } from "./command-text.ts";
import type { ImapConnection } from "./imap-connection.ts";
import { expectChanged } from "./refusal.ts";
import type { Tagged } from "./untagged.ts";

/** Throws the server's refusal, `UNAVAILABLE` when nothing was sent, and OutcomeUnknown otherwise. */
export async function changeName(connection: ImapConnection, change: NameChange): Promise<void> {
  await connection.run({ parts: ["NOOP"] });
  expectChanged(await sendOnce(connection, partsOf(change)));
}

function partsOf(change: NameChange): CommandPart[] {
  const name = nameArgument(change.name);
  return change.kind === "RENAME"
    ? ["RENAME ", name, " ", nameArgument(change.to)]
    : [`${change.kind} `, name];
}

async function sendOnce(connection: ImapConnection, parts: readonly CommandPart[]): Promise<Tagged> {
  try {
    return await connection.run({ parts });
  } catch (error) {
    throw new OutcomeUnknown(error);
  }
}
