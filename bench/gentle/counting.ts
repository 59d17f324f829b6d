/** A short pass of each measure with the counting proxy in between: what reaches the old server, and nothing timed. */
import type { CountingProxy } from "../../test/helpers/counting-proxy.ts";
import type { Measure, Place } from "./measures.ts";
import { untilQuiet } from "./quiet.ts";
import type { Servers } from "./rounds.ts";

const passMs = 20_000;
const fewOperations = 40;

/** Of one operation, by verb. */
export async function countCommands(
  measure: Measure,
  place: Place,
  proxy: CountingProxy,
  servers: Servers,
): Promise<string> {
  const opened = await measure.open(place);
  try {
    await opened.batch({ operations: 1, deadline: performance.now() + passMs });
    await untilQuiet(servers);
    proxy.reset();
    const operations = measure.countedOnly ? measure.operations : Math.min(fewOperations, measure.operations);
    const times = await opened.batch({ operations, deadline: performance.now() + passMs });
    await untilQuiet(servers);
    return perOperation(proxy.counts(), times.length);
  } finally {
    opened.close();
  }
}

/** `UID STORE 1, NOOP 0.1`; `none` where nothing came by. */
export function perOperation(counts: Readonly<Record<string, number>>, operations: number): string {
  const shown = Object.entries(counts)
    .sort(([, a], [, b]) => b - a)
    .map(([verb, count]) => `${verb} ${Number((count / operations).toFixed(2))}`);
  return shown.join(", ") || "none";
}
