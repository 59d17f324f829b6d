/** A Markdown table of what was measured. */
import { median } from "../measure.ts";
import type { Row } from "./rounds.ts";

export function table(rows: readonly Row[]): string {
  const head =
    "| | straight ms (rounds; mean) | through ms (rounds; mean) | ratio | more ms | old server's CPU ms, straight | through | ratio | the old server's commands, through | Mailferry's CPU ms |";
  return [head, `|${"---|".repeat(10)}`, ...rows.map(line)].join("\n");
}

function line({ title, ms, meanMs, cpuMs, frontCpuMs, commands = "" }: Row): string {
  const times = ms
    ? [
        range(ms.straight, meanMs?.straight),
        range(ms.through, meanMs?.through),
        ratio(ms.straight, ms.through),
        (median(ms.through) - median(ms.straight)).toFixed(2),
      ]
    : ["", "", "", ""];
  const cpu = cpuMs
    ? [shown(median(cpuMs.straight)), shown(median(cpuMs.through)), ratio(cpuMs.straight, cpuMs.through)]
    : ["", "", ""];
  const front = frontCpuMs ? shown(median(frontCpuMs)) : "";
  return `| ${[title, ...times, ...cpu, commands, front].join(" | ")} |`;
}

/** The median, from the fastest to the slowest round, and the mean of all operations. */
function range(values: readonly number[], mean: number | undefined): string {
  const [least, most] = [Math.min(...values), Math.max(...values)].map(shown);
  const rest = mean === undefined ? "" : `; ${shown(mean)}`;
  return `${shown(median(values))} (${least}–${most}${rest})`;
}

function ratio(straight: readonly number[], through: readonly number[]): string {
  return (median(through) / median(straight)).toFixed(2);
}

function shown(value: number): string {
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
}
