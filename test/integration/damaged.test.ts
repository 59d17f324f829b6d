import { expect, it } from "vitest";
import { cutOverDamaged } from "./damaged.ts";

it("keeps all that an old server has whose answers are spoilt at random, or refuses the cutover: 100 accounts", async () => {
  const first = Date.now() % 1_000_000;
  console.log(`seeds from ${first}`);
  const outcomes = await cutOverDamaged(Array.from({ length: 100 }, (_, index) => first + index));
  console.log(JSON.stringify(outcomes));
  expect(outcomes.local).toBeGreaterThan(0);
}, 600_000);
