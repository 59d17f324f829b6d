import { type Flags, flagsOf, hasFlag } from "./flags.ts";

/** What STORE does to a message's flags (RFC 3501 6.4.6). */
export interface FlagChange {
  readonly kind: "add" | "remove" | "replace";
  readonly flags: readonly string[];
}

/** Flags as the change leaves them, where every flag can be kept. */
export function withChange(flags: Flags, { kind, flags: named }: FlagChange): Flags {
  switch (kind) {
    case "add":
      return flagsOf([...flags, ...named]);
    case "remove": {
      const removed = flagsOf(named);
      return flagsOf(flags.filter((flag) => !hasFlag(removed, flag)));
    }
    case "replace":
      return flagsOf(named);
  }
}
