import { expect, it } from "vitest";
import { sampleOf } from "../../src/migration/sample.ts";

const items = Array.from({ length: 250 }, (_, index) => index);

it.each([
  [0, 0],
  [0.1, 1],
  [1, 3],
  [10, 25],
  [99.9, 250],
  [100, 250],
])("%d percent of 250 are %d, in their order, each once", (percent, count) => {
  const sample = sampleOf(items, percent);
  expect(sample).toHaveLength(count);
  expect([...new Set(sample)].sort((a, b) => a - b)).toEqual(sample);
});

it("takes each as often as any other", () => {
  const taken = new Map<number, number>();
  for (let round = 0; round < 4_000; round++)
    for (const item of sampleOf(items.slice(0, 10), 30)) taken.set(item, (taken.get(item) ?? 0) + 1);
  // 1,200 are expected; 150 is five standard deviations.
  for (const item of items.slice(0, 10)) expect(Math.abs((taken.get(item) ?? 0) - 1_200)).toBeLessThan(150);
});
