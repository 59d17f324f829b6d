/**
 * What dovecot-uidlist says of a local mailbox's files that others have named (a Dovecot beside us, say): which UID it
 * has given them, and which UIDs are used up. Read on from where the last look ended, as Dovecot does; anew where the
 * list was replaced. A line that is damaged is passed over.
 */
import { type BigIntStats, statSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { type Uid, type UidValidity, uid } from "../mail/ids.ts";
import { breathe } from "../waiting.ts";
import { parseUidlistHeader, parseUidlistRecord } from "./dovecot-uidlist.ts";
import { errorCode } from "./store-errors.ts";

export interface OthersLine {
  readonly uid: Uid;
  /** Kept when the list is written anew: they may be what Dovecot knows of the file. */
  readonly fields: readonly string[];
}

export interface OthersLines {
  /** By base name; of files that are no messages here yet. */
  readonly lines: Map<string, OthersLine>;
  /** Above all UIDs that the list gives, and not below its own UIDNEXT; 1 where there is no list. */
  readonly uidNext: number;
  /** Where its last whole line ends. */
  readonly endBytes: number;
  /** Reads what was written since; nothing of a list of another UIDVALIDITY. */
  read(folder: string, uidValidity: UidValidity | undefined): Promise<void>;
  /** The caller has written the list, under the lock and after `read`. */
  noteWritten(stats: BigIntStats, uidNext: number): void;
}

const pieceBytes = 256 << 10;

export function createOthersLines(isOurs: (fileName: string) => boolean): OthersLines {
  const lines = new Map<string, OthersLine>();
  let known: { readonly ino: bigint; readonly version: string } | undefined;
  let [uidNext, endBytes, lastUid] = [1, 0, 0];

  const beginAnew = (): void => {
    lines.clear();
    [uidNext, endBytes, lastUid] = [1, 0, 0];
  };
  const take = (line: string): void => {
    const record = parseUidlistRecord(line);
    if (!record || record.uid <= lastUid) return;
    lastUid = record.uid;
    uidNext = Math.max(uidNext, record.uid + 1);
    if (!isOurs(record.fileName)) lines.set(record.fileName, { uid: record.uid, fields: record.fields });
  };
  const readOn = async (file: FileHandle, uidValidity: UidValidity | undefined): Promise<void> => {
    let rest = "";
    for (;;) {
      const bytes = Buffer.allocUnsafe(pieceBytes);
      const { bytesRead } = await file.read(bytes, 0, pieceBytes, endBytes + rest.length);
      if (bytesRead === 0) return;
      const all = (rest + bytes.toString("latin1", 0, bytesRead)).split("\n");
      rest = all.pop() ?? "";
      for (const line of all) {
        if (endBytes > 0) take(line);
        else {
          const header = parseUidlistHeader(line);
          if (!header || header.uidValidity !== uidValidity) return;
          uidNext = header.uidNext;
        }
        endBytes += line.length + 1;
      }
      await breathe();
    }
  };

  return {
    lines,
    get uidNext() {
      return uidNext;
    },
    get endBytes() {
      return endBytes;
    },
    async read(folder, uidValidity) {
      const path = join(folder, "dovecot-uidlist");
      const found = statSync(path, { bigint: true, throwIfNoEntry: false });
      if (found && versionOf(found) === known?.version) return;
      try {
        await using file = await open(path, "r");
        const stats = await file.stat({ bigint: true });
        if (stats.ino !== known?.ino || stats.size < endBytes) beginAnew();
        await readOn(file, uidValidity);
        known = { ino: stats.ino, version: versionOf(stats) };
      } catch (error) {
        if (errorCode(error) !== "ENOENT") throw error;
        beginAnew();
        known = undefined;
      }
    },
    noteWritten(stats, next) {
      known = { ino: stats.ino, version: versionOf(stats) };
      endBytes = Number(stats.size);
      uidNext = Math.max(uidNext, next);
      lastUid = uidNext - 1;
    },
  };
}

/** Another one when anybody has written the list since. */
export function versionOf({ ino, size, mtimeNs }: BigIntStats): string {
  return `${ino} ${size} ${mtimeNs}`;
}

/** So many of them, from `first` on, follow each other: what a Dovecot beside us has given meanwhile. */
export function endOfRun(lines: ReadonlyMap<string, OthersLine>, first: Uid): Uid {
  const uids = new Set([...lines.values()].map((line) => line.uid));
  let next = first;
  while (uids.has(next)) next = uid(next + 1);
  return next;
}
