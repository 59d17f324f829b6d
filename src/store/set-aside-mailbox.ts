/**
 * Folders of mailboxes that are gone from the old server: kept under `<account>/gone/` for some days, since it may
 * turn out that they should not be. One that nobody has been told of stays until somebody was.
 */
import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import type { EncodedMailboxName, MailboxId } from "../mail/ids.ts";
import { namesInNow } from "./names-in.ts";
import type { StoreContext } from "./store-context.ts";
import { errorCode } from "./store-errors.ts";

export interface SetAsideMailbox {
  readonly name: EncodedMailboxName;
  /** Below the account's folder. */
  readonly path: string;
  readonly messages: number;
  readonly atMs: number;
  /** When somebody was told first. */
  readonly toldAtMs: number | null;
}

const key = "set-aside";
const folder = "gone";

export function setAsideMailboxes({ sidecar }: StoreContext): readonly SetAsideMailbox[] {
  return JSON.parse(sidecar.readSetting(key) || "[]") as readonly SetAsideMailbox[];
}

/** Where the folder of a mailbox goes: noted before it is moved, so that a crash forgets none. */
export function noteSetAside(
  context: StoreContext,
  id: MailboxId,
  noted: Pick<SetAsideMailbox, "name" | "messages">,
): string {
  const atMs = Date.now();
  const path = join(folder, `${atMs}-${id}`);
  mkdirSync(join(context.directory, folder), { recursive: true, mode: 0o700 });
  write(context, [...setAsideMailboxes(context), { ...noted, path, atMs, toldAtMs: null }]);
  return join(context.directory, path);
}

/** Somebody is told of all of them. */
export function noteTold(context: StoreContext): void {
  const all = setAsideMailboxes(context);
  if (all.every(({ toldAtMs }) => toldAtMs !== null)) return;
  const now = Date.now();
  write(
    context,
    all.map((one) => ({ ...one, toldAtMs: one.toldAtMs ?? now })),
  );
}

/** Removes those that have been there for so long, and of which somebody was told. */
export async function removeSetAside(context: StoreContext, keepMs: number): Promise<void> {
  const now = Date.now();
  const isOver = ({ atMs, toldAtMs }: SetAsideMailbox): boolean => toldAtMs !== null && now - atMs > keepMs;
  const all = setAsideMailboxes(context);
  const over = all.filter(isOver);
  if (over.length === 0) return;
  for (const { path } of over)
    await context.writer.run({ kind: "removeTree", path: join(context.directory, path) });
  write(
    context,
    setAsideMailboxes(context).filter((one) => !isOver(one)),
  );
}

/** A mailbox of which no folder was made has nothing to keep. */
export function moveFolder(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}

/** Messages in the folder of a mailbox. */
export function countFiles(path: string): number {
  return ["cur", "new"].reduce((sum, name) => sum + namesInNow(join(path, name)).length, 0);
}

function write({ sidecar, database, flusher }: StoreContext, all: readonly SetAsideMailbox[]): void {
  database.transaction(() => sidecar.writeSetting(key, JSON.stringify(all)));
  flusher.wrote();
}
