/**
 * Counts the bytes that buffers look at or copy while something runs, so that a test can tell linear
 * work from quadratic without a clock.
 */
import { vi } from "vitest";

type Method = (...args: never[]) => unknown;

export function countWork(run: () => void): number {
  let work = 0;
  const count = (
    name: "toString" | "copy" | "indexOf",
    cost: (buffer: Buffer, args: unknown[], result: unknown) => number,
  ) => {
    const original = Buffer.prototype[name] as unknown as Method;
    return vi.spyOn(Buffer.prototype, name).mockImplementation(function (this: Buffer, ...args: unknown[]) {
      const result = original.apply(this, args as never[]);
      work += 1 + cost(this, args, result);
      return result as never;
    });
  };
  const spies = [
    count("toString", (_buffer, _args, result) => (result as string).length),
    count("copy", (_buffer, _args, result) => result as number),
    count("indexOf", (buffer, args, result) => {
      const found = result as number;
      return (found < 0 ? buffer.length : found) - ((args[1] as number | undefined) ?? 0);
    }),
    vi.spyOn(Buffer, "concat").mockImplementation((pieces) => {
      work += pieces.reduce((sum, { length }) => sum + length, 0);
      const all = Buffer.alloc(pieces.reduce((sum, { length }) => sum + length, 0));
      let at = 0;
      for (const piece of pieces) {
        all.set(piece, at);
        at += piece.length;
      }
      return all;
    }),
  ];
  try {
    run();
    return work;
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}
