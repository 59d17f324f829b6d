/** What was made again of an account's databases, for the operator: kept in the account, and shown by `status`. */
import type { SidecarDb } from "./sidecar-db.ts";
import type { AccountStore } from "./store.ts";

export interface Repair {
  readonly at: string;
  readonly words: string;
}

const key = "repairs";
/** The last ones. */
const maxKept = 10;

export function noteRepair(sidecar: Pick<SidecarDb, "readSetting" | "writeSetting">, words: string): void {
  const all = [...repairsOf(sidecar), { at: new Date().toISOString(), words }];
  sidecar.writeSetting(key, JSON.stringify(all.slice(-maxKept)));
}

export function repairsOf(store: Pick<AccountStore, "readSetting">): readonly Repair[] {
  return JSON.parse(store.readSetting(key) || "[]") as readonly Repair[];
}
