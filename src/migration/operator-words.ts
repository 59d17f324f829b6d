/** What operators have decided on this account, kept in its sidecar: who, when, and on what. */
import type { AccountStore } from "../store/store.ts";
import type { Choice, HindranceKind } from "./hindrance.ts";

export interface OperatorWord {
  readonly choice: Exclude<Choice, "retry">;
  readonly id: string;
  readonly kind: HindranceKind;
  readonly mailbox?: string | undefined;
  readonly words: string;
  readonly by: string;
  /** ISO 8601. */
  readonly at: string;
}

const key = "operator-words";

export function operatorWords(store: AccountStore): readonly OperatorWord[] {
  return JSON.parse(store.readSetting(key) || "[]") as OperatorWord[];
}

export function noteWord(store: AccountStore, word: OperatorWord): void {
  store.writeSetting(key, JSON.stringify([...operatorWords(store), word]));
}
