import { expect, it } from "vitest";
import { cutOverDamaged } from "./damaged.ts";

it("keeps all that an old server has whose answers are spoilt at random, or refuses the cutover: 2,000 accounts", async () => {
  const first = Date.now() % 1_000_000;
  console.log(`seeds from ${first}`);
  let local = 0;
  for (let batch = 0; batch < 20; batch++) {
    const outcomes = await cutOverDamaged(
      Array.from({ length: 100 }, (_, index) => first + batch * 100 + index),
    );
    console.log(JSON.stringify(outcomes));
    local += outcomes.local;
  }
  expect(local).toBeGreaterThan(0);
});
