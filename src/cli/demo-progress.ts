/** Tells in lines how an account is pulled, as long as the demo runs. */
import { setTimeout as delay } from "node:timers/promises";
import type { EncodedMailboxName } from "../mail/ids.ts";
import { decodeMailboxName } from "../mail/mailbox-name.ts";
import type { MailboxProgress } from "../migration/progress.ts";
import type { Mailferry } from "../server.ts";
import { formatBytes } from "./format.ts";

const lookEveryMs = 100;
const nameWidth = 20;

export async function watchPull(
  mailferry: Mailferry,
  user: string,
  signal: AbortSignal,
  print: (line: string) => void,
): Promise<void> {
  const told = new Map<string, string>();
  let lastLoginAt: string | undefined;
  let lastStage: string | undefined;
  while (!signal.aborted) {
    const account = mailferry.directory.account(user);
    if (account?.lastLoginAt !== undefined && account.lastLoginAt !== lastLoginAt) {
      print(`${time()}  ${user} has logged in${lastLoginAt === undefined ? "; the pull begins" : " again"}`);
    }
    lastLoginAt = account?.lastLoginAt;
    const mailboxes = mailferry.liveMailboxes(user).filter(({ messages }) => messages > 0);
    for (const mailbox of mailboxes) {
      const line = lineOf(mailbox);
      if (told.get(mailbox.name) !== line) print(`${time()}    ${line}`);
      told.set(mailbox.name, line);
    }
    if (account?.stage === "complete" && lastStage !== "complete") {
      print(`${time()}  complete: every message is here, with its UID, flags and dates`);
    }
    lastStage = account?.stage;
    await delay(lookEveryMs, undefined, { signal }).catch(() => undefined);
  }
}

function lineOf({ name, messages, messagesHere, bytesHere }: MailboxProgress): string {
  const shown = decodeMailboxName(name as EncodedMailboxName).padEnd(nameWidth);
  return `${shown} ${String(messagesHere).padStart(4)} of ${String(messages).padStart(4)} messages are here, ${formatBytes(bytesHere)}`;
}

function time(): string {
  return new Date().toTimeString().slice(0, 8);
}
