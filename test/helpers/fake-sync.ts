/** A `sync` of the test's own: it tells when it has begun, and ends when, and as, it is told to. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface SyncRun {
  /** Of who has started it. */
  readonly parent: number;
  readonly args: readonly string[];
}

export interface FakeSync {
  /** For PATH. */
  readonly path: string;
  /** How many have begun. */
  readonly runs: number;
  /** The next one that begins, or has begun and was not told yet. */
  began(): Promise<SyncRun>;
  /** Ends the one that runs, or the next. */
  end(code?: number): void;
  /** The one that runs, or the next, kills its parent. */
  killParent(): void;
  remove(): void;
}

export function createFakeSync(): FakeSync {
  const folder = mkdtempSync(join(tmpdir(), "fake-sync-"));
  const [began, orders] = [join(folder, "began"), join(folder, "orders")];
  execFileSync("mkfifo", [began, orders]);
  writeFileSync(
    join(folder, "sync"),
    `#!/bin/sh
{ printf '%s' "$PPID"; printf '\\t%s' "$@"; printf '\\0'; } > '${began}'
read -r order < '${orders}'
if [ "$order" = kill ]; then kill -9 "$PPID"; exit 1; fi
exit "$order"
`,
    { mode: 0o700 },
  );
  // With a writer and a reader of our own neither end waits for the other at its opening.
  const flags = constants.O_RDWR | constants.O_NONBLOCK;
  const told = new Socket({ fd: openSync(began, flags), readable: true, writable: false });
  const ordersFd = openSync(orders, flags);
  const untold: SyncRun[] = [];
  let text = "";
  let runs = 0;
  told.setEncoding("utf8").on("data", (chunk: string) => {
    const whole = (text + chunk).split("\0");
    text = whole.pop() ?? "";
    for (const one of whole) {
      const [parent, ...args] = one.split("\t");
      untold.push({ parent: Number(parent), args });
      runs++;
    }
    told.emit("run");
  });
  return {
    path: `${folder}:${process.env["PATH"]}`,
    get runs() {
      return runs;
    },
    async began() {
      while (untold.length === 0) await once(told, "run");
      return untold.shift()!;
    },
    end: (code = 0) => void writeSync(ordersFd, `${code}\n`),
    killParent: () => void writeSync(ordersFd, "kill\n"),
    remove() {
      told.destroy();
      closeSync(ordersFd);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** One that has ended and that nobody has asked after is not. */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat[stat.lastIndexOf(")") + 2] !== "Z";
  } catch {
    return false;
  }
}
