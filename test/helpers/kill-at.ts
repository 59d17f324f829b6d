/**
 * Loaded into a Mailferry by NODE_OPTIONS: kills it at the KILL_AT-th change of the disk that a thread makes, before
 * or after it is done, as a power failure or kill -9 would. With KILL_WHEN changes count once that file is there,
 * with KILL_SENDS what is sent to anybody counts, too.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { Socket } from "node:net";
import { StatementSync } from "node:sqlite";

const killAt = Number(process.env["KILL_AT"]);
const trigger = process.env["KILL_WHEN"];
let changes = 0;

type Work = (...args: never[]) => unknown;

function counted<T extends Work>(work: T): T {
  const killing = function (this: unknown, ...args: never[]): unknown {
    if (trigger === undefined || fs.existsSync(trigger)) changes++;
    const isLast = changes === killAt;
    // Even ones before, odd ones after.
    if (isLast && killAt % 2 === 0) process.kill(process.pid, "SIGKILL");
    const result = work.apply(this, args);
    if (isLast) process.kill(process.pid, "SIGKILL");
    return result;
  };
  return Object.assign(killing, work) as unknown as T;
}

if (killAt > 0) {
  fs.renameSync = counted(fs.renameSync);
  fs.linkSync = counted(fs.linkSync);
  fs.unlinkSync = counted(fs.unlinkSync);
  fs.openSync = counted(fs.openSync);
  fs.writeSync = counted(fs.writeSync) as typeof fs.writeSync;
  fs.write = counted(fs.write as unknown as Work) as unknown as typeof fs.write;
  fs.fsync = counted(fs.fsync as unknown as Work) as unknown as typeof fs.fsync;
  fs.fsyncSync = counted(fs.fsyncSync);
  fs.promises.rename = counted(fs.promises.rename);
  fs.promises.unlink = counted(fs.promises.unlink);
  StatementSync.prototype.run = counted(StatementSync.prototype.run);
  if (process.env["KILL_SENDS"])
    Socket.prototype.write = counted(Socket.prototype.write) as typeof Socket.prototype.write;
  syncBuiltinESMExports();
}
