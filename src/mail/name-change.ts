import type { EncodedMailboxName } from "./ids.ts";

/** A change of the names of an account (RFC 3501 6.3.3 to 6.3.7). */
export type NameChange =
  | {
      readonly kind: "CREATE" | "DELETE" | "SUBSCRIBE" | "UNSUBSCRIBE";
      readonly name: EncodedMailboxName;
    }
  | { readonly kind: "RENAME"; readonly name: EncodedMailboxName; readonly to: EncodedMailboxName };
