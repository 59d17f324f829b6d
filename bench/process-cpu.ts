/**
 * The processor time of a server: of its first process, of all that come from it, and of those of them that
 * have ended and were waited for. The living are read to the nanosecond (schedstat), the dead to two ticks
 * of the clock, 20 ms, which do not add up over time. Threads that have ended are not seen.
 */
import { readdirSync, readFileSync } from "node:fs";

const msPerTick = 10;

/** User and system time; of a process that is not there, none. */
export function treeCpuMs(pid: number): number {
  // The parent last: a child that ends meanwhile is counted once at least, and the next reading is right.
  const tasks = tasksOf(pid);
  let sum = 0;
  for (const task of tasks) {
    const folder = `/proc/${pid}/task/${task}`;
    for (const child of words(`${folder}/children`)) sum += treeCpuMs(Number(child));
    sum += Number(words(`${folder}/schedstat`)[0] ?? 0) / 1e6;
  }
  return sum + deadChildrenMs(pid);
}

function tasksOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

function deadChildrenMs(pid: number): number {
  const stat = read(`/proc/${pid}/stat`);
  // The second field is a name in parentheses, with whatever is in it; cutime and cstime are the 16th and 17th.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[13] ?? 0) + Number(fields[14] ?? 0)) * msPerTick;
}

function words(file: string): string[] {
  return read(file).split(/\s+/).filter(Boolean);
}

function read(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}
