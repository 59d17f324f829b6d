/** Timing and tables for the benchmarks. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";

/** Wall-clock seconds of `work`. */
export async function seconds(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly uid?: number;
  readonly gid?: number;
  /** Its standard output and error go here; shown when it fails. */
  readonly logFile: string;
}

/** Runs a command to its end; rejects unless it exits with 0. */
export function runCommand(command: string, args: readonly string[], options: RunOptions): Promise<void> {
  const { logFile, ...spawnOptions } = options;
  const log = openSync(logFile, "w");
  return new Promise<void>((resolve, reject) => {
    const child: ChildProcess = spawn(command, args, { ...spawnOptions, stdio: ["ignore", log, log] });
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      if (code === 0) resolve();
      else
        reject(
          new Error(
            `${command} ended with ${code ?? signal}: ${readFileSync(logFile, "utf8").slice(-2_000)}`,
          ),
        );
    });
  }).finally(() => closeSync(log));
}

export interface Contender {
  readonly name: string;
  /** One run from nothing; returns its seconds. What must be prepared or removed is not in it. */
  readonly run: (round: number) => Promise<number>;
}

export interface Measured {
  readonly name: string;
  readonly runs: readonly number[];
  readonly medianSeconds: number;
}

/** What earlier runs have written is on the disk before the next one starts: its sync is not their debt. */
const settle = (): Promise<void> => runCommand("sync", [], { logFile: "/dev/null" });

/** Interleaved: each round runs every contender once, so that a slow moment of the machine hits all. */
export async function interleave(contenders: readonly Contender[], rounds: number): Promise<Measured[]> {
  const runs = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const { name, run } of contenders) {
      await settle();
      const taken = await run(round);
      runs.get(name)?.push(taken);
      process.stderr.write(`round ${round + 1}  ${name}: ${taken.toFixed(2)} s\n`);
    }
  }
  return [...runs].map(([name, taken]) => ({ name, runs: taken, medianSeconds: median(taken) }));
}

/** A Markdown table of medians and of ratios to the first row: above 1 is slower than it. */
export function ratioTable(measured: readonly Measured[]): string {
  const base = measured[0]?.medianSeconds ?? Number.NaN;
  const rows = measured.map(({ name, runs, medianSeconds }) => {
    const range = `${Math.min(...runs).toFixed(2)}–${Math.max(...runs).toFixed(2)}`;
    return `| ${name} | ${medianSeconds.toFixed(2)} | ${range} | ${(medianSeconds / base).toFixed(2)} |`;
  });
  return ["| | median s | range s | ratio |", "|---|---|---|---|", ...rows].join("\n");
}
