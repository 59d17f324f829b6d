import { expect, it } from "vitest";
import { cutOverDamaged } from "./damaged.ts";

const atOnce = 100;
const first = Date.now() % 1_000_000;
const batches = Array.from({ length: 20 }, (_, batch) => first + batch * atOnce);

// 2,000 in all, in parts that end in time on a slow machine, too.
it.each(batches)(
  "keeps all that an old server has whose answers are spoilt at random, or refuses the cutover: seeds from %i",
  async (from) => {
    const outcomes = await cutOverDamaged(Array.from({ length: atOnce }, (_, index) => from + index));
    console.log(JSON.stringify(outcomes));
    expect(outcomes.local).toBeGreaterThan(0);
  },
);
