import { readFileSync } from "node:fs";

/** Resident memory of a process of ours, from Linux's /proc. */
export function serverMemoryBytes(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) * 1024;
}
