import type { Uid, UidValidity } from "./ids.ts";

/** What COPYUID tells (RFC 4315 3): pairs, in order. */
export interface CopiedUids {
  /** Of the mailbox copied to. */
  readonly uidValidity: UidValidity;
  readonly from: readonly Uid[];
  readonly to: readonly Uid[];
}
