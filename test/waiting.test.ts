import { describe, expect, it } from "vitest";
import { anyOf, createPipeline, singleFlight, waitWith } from "../src/waiting.ts";
import { liveBytes } from "./helpers/heap.ts";

it("joined signals tell of an abort whose controller is collected before anybody asks", async () => {
  const lasting = new AbortController();
  const abortedSoon = (): AbortSignal => {
    const passing = new AbortController();
    const joined = anyOf(lasting.signal, passing.signal);
    passing.abort();
    return joined;
  };
  const joined = Array.from({ length: 10 }, abortedSoon);
  await new Promise(setImmediate);
  liveBytes();
  await new Promise(setImmediate);
  expect(joined.map(({ aborted }) => aborted)).not.toContain(false);
});

describe("single flight", () => {
  it("gives those who ask during a run one further run of their own", async () => {
    let runs = 0;
    const gates: (() => void)[] = [];
    const flight = singleFlight(() => {
      runs++;
      return new Promise<void>((resolve) => gates.push(resolve));
    });
    const first = flight();
    const second = flight();
    const third = flight();
    expect(runs).toBe(1);
    gates[0]!();
    await first;
    await new Promise(setImmediate);
    expect(runs).toBe(2);
    gates[1]!();
    await Promise.all([second, third]);
    expect(runs).toBe(2);
  });

  it("runs again after a failure", async () => {
    let fails = true;
    const flight = singleFlight(async () => {
      if (fails) throw new Error("no");
    });
    await expect(flight()).rejects.toThrow("no");
    fails = false;
    await flight();
  });
});

describe("waiting with one’s own signal", () => {
  it("leaves no failure unhandled when the one who would wait has left already", async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown): void => void unhandled.push(reason);
    process.on("unhandledRejection", note);
    try {
      const failing = Promise.reject(new Error("the legacy server is away"));
      await expect(waitWith(failing, AbortSignal.abort(new Error("left")))).rejects.toThrow("left");
      await new Promise(setImmediate);
      expect(unhandled).toEqual([]);
    } finally {
      process.off("unhandledRejection", note);
    }
  });

  it("ends the waiting, not the work", async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    const controller = new AbortController();
    const impatient = waitWith(promise, controller.signal);
    const patient = waitWith(promise, new AbortController().signal);
    controller.abort(new Error("enough"));
    await expect(impatient).rejects.toThrow("enough");
    resolve("done");
    expect(await patient).toBe("done");
  });
});

describe("a pipeline", () => {
  it("keeps to its depth and reports the first failure after all have ended", async () => {
    const pipeline = createPipeline(2);
    const first = Promise.withResolvers<void>();
    const second = Promise.withResolvers<void>();
    await pipeline.add(Promise.resolve());
    const adding = pipeline.add(first.promise);
    await adding;
    const blocked = pipeline.add(second.promise);
    first.reject(new Error("first"));
    await expect(blocked).rejects.toThrow("first");
    second.reject(new Error("second"));
    await expect(pipeline.drain()).rejects.toThrow("second");
  });
});
