import { type ModSeq, modSeq } from "./ids.ts";

/** RFC 7162 3.1.1: 63 bits. */
export const maxModSeq: ModSeq = modSeq((1n << 63n) - 1n);

/** Not known, or none at all (RFC 7162 3.1.1: none is 0). */
export const noModSeq: ModSeq = modSeq(0n);
const lowest: ModSeq = modSeq(1n);

/** As clients are told: a message that was here before MODSEQs were counted has the lowest. */
export function asTold(value: ModSeq): ModSeq {
  return value > 0n ? value : lowest;
}

/** Decimal digits; undefined for anything else and for more than 63 bits. */
export function parseModSeq(text: string): ModSeq | undefined {
  if (!/^\d{1,19}$/.test(text)) return undefined;
  const value = BigInt(text);
  return value <= maxModSeq ? modSeq(value) : undefined;
}
