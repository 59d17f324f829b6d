/**
 * One measure on both ways in turn: a warm-up, then rounds of which each takes one after the other, so that a
 * slow moment of the machine hits both. After each batch all servers come to rest, and what the old server has
 * done until then is the batch's, too.
 */
import { createRandom } from "../../test/helpers/random.ts";
import { median } from "../measure.ts";
import type { Measure, Opened, Place } from "./measures.ts";
import { type Busy, untilQuiet } from "./quiet.ts";

export const ways = ["straight", "through"] as const;
export type Way = (typeof ways)[number];
export type OnBoth<T> = Readonly<Record<Way, T>>;

/** What a table shows in one line; one number for each round. */
export interface Row {
  readonly title: string;
  readonly ms?: OnBoth<readonly number[]>;
  /** Where `ms` are medians: what slow ones among the operations make of it. */
  readonly meanMs?: OnBoth<number>;
  /** Of the old server, for one operation. */
  readonly cpuMs?: OnBoth<readonly number[]>;
  /** Of the server in front of it, through. */
  readonly frontCpuMs?: readonly number[];
  /** What reached the old server, for one operation. */
  readonly commands?: string;
}

interface Batch {
  readonly times: readonly number[];
  /** Of each server. */
  readonly cpuMs: readonly [old: number, front: number];
}

/** A batch ends after so long, with what it has; a measure begins no other round after so long. */
const batchMs = 20_000;
const measureMs = 60_000;
const warmUp = { operations: 50, ms: 2_000 };

export type Servers = readonly [old: Busy, front: Busy];

export async function runRounds(
  measure: Measure,
  places: OnBoth<Place>,
  servers: Servers,
  rounds: number,
): Promise<Row> {
  const opened: OnBoth<Opened> = {
    straight: await measure.open(places.straight),
    through: await measure.open(places.through),
  };
  try {
    for (const way of ways) {
      const operations = Math.min(warmUp.operations, measure.operations);
      await opened[way].batch({ operations, deadline: performance.now() + warmUp.ms });
    }
    await untilQuiet(servers);
    const batches: Record<Way, Batch[]> = { straight: [], through: [] };
    const end = performance.now() + measureMs;
    for (let round = 0; round < rounds && (round === 0 || performance.now() < end); round++) {
      for (const way of round % 2 === 0 ? ways : ways.toReversed()) {
        batches[way].push(await runBatch(opened[way], measure.operations, servers));
      }
    }
    return {
      title: measure.title,
      ms: onBoth((way) => batches[way].map(({ times }) => median(times))),
      meanMs: onBoth((way) => mean(batches[way].flatMap(({ times }) => times))),
      cpuMs: onBoth((way) => batches[way].map(({ times, cpuMs: [old] }) => old / times.length)),
      frontCpuMs: batches.through.map(({ times, cpuMs: [, front] }) => front / times.length),
    };
  } finally {
    for (const way of ways) opened[way].close();
  }
}

async function runBatch(opened: Opened, operations: number, servers: Servers): Promise<Batch> {
  const [old, front] = cpuOf(servers);
  const times = await opened.batch({ operations, deadline: performance.now() + batchMs });
  await untilQuiet(servers);
  const [oldAfter, frontAfter] = cpuOf(servers);
  return { times, cpuMs: [oldAfter - old, frontAfter - front] };
}

export function cpuOf([old, front]: Servers): [number, number] {
  return [old.cpuMs(), front.cpuMs()];
}

export function onBoth<T>(of: (way: Way) => T): OnBoth<T> {
  return { straight: of("straight"), through: of("through") };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The same choice of messages again and again. */
export function choose(uids: readonly number[], count: number, seed: number): number[] {
  const random = createRandom(seed);
  return Array.from({ length: count }, () => uids[random.below(uids.length)] ?? 0);
}
