/** SORT (RFC 5256 3): what each key looks at, and the order. */
import { parseAddressList } from "./address.ts";
import { baseSubject } from "./base-subject.ts";
import { firstValues } from "./first-values.ts";
import { decodeHeaderText } from "./header-text.ts";
import type { Uid } from "./ids.ts";
import type { MessageMeta } from "./message.ts";
import { foldText } from "./search-fold.ts";
import { sentDate } from "./sent-date.ts";
import type { SortKey, SortKind } from "./sort-key.ts";

/** One message's values, in the order of the keys. */
export interface Sortable {
  readonly uid: Uid;
  readonly values: readonly (number | string)[];
}

const fields = { cc: "cc", "display-from": "from", "display-to": "to", from: "from", to: "to" } as const;
/** Of an address; longer ones are told apart by their beginning, since all messages' are held at once. */
const maxChars = 1_000;
const fieldNames = new Set(["cc", "date", "from", "subject", "to"]);

/** `header` is not looked at where no key needs it. */
export function sortable(keys: readonly SortKey[], meta: MessageMeta, header: Buffer | undefined): Sortable {
  const values = header ? firstValues(header, fieldNames) : new Map<string, string>();
  return { uid: meta.uid, values: keys.map(({ kind }) => sortValue(kind, meta, values)) };
}

/** UIDs decide where all keys are equal (RFC 5256 3: sequence numbers). */
export function sorter(keys: readonly SortKey[]): (a: Sortable, b: Sortable) => number {
  const signs = keys.map(({ reverse }) => (reverse ? -1 : 1));
  return (a, b) => {
    for (let at = 0; at < signs.length; at++) {
      const [left, right] = [a.values[at] ?? 0, b.values[at] ?? 0];
      if (left !== right) return (left < right ? -1 : 1) * (signs[at] ?? 1);
    }
    return a.uid - b.uid;
  };
}

function sortValue(kind: SortKind, meta: MessageMeta, values: ReadonlyMap<string, string>): number | string {
  switch (kind) {
    case "arrival":
      return meta.internalDate.epochSeconds;
    case "size":
      return meta.sizeBytes;
    case "date":
      return sentDate(values.get("date") ?? "")?.epochSeconds ?? meta.internalDate.epochSeconds;
    case "subject":
      return collated(baseSubject(values.get("subject") ?? "").text);
    case "cc":
    case "from":
    case "to": {
      const [first] = parseAddressList(values.get(fields[kind]) ?? "");
      return collated(latin1AsUtf8(first?.mailbox ?? ""));
    }
    case "display-from":
    case "display-to":
      return collated(displayName(values.get(fields[kind]) ?? ""));
  }
}

/** RFC 5957 3: the name as people read it, else the address. */
function displayName(value: string): string {
  const [first] = parseAddressList(value);
  if (!first) return "";
  const name =
    first.name === undefined ? "" : decodeHeaderText(Buffer.from(first.name.slice(0, maxChars), "latin1"));
  if (name !== "") return name;
  const { mailbox = "", domain } = first;
  return latin1AsUtf8(domain === undefined ? mailbox : `${mailbox}@${domain}`);
}

function latin1AsUtf8(bytes: string): string {
  return Buffer.from(bytes.slice(0, maxChars), "latin1").toString("utf8");
}

/** i;unicode-casemap (RFC 5051) compares the octets of UTF-8: one char for each. */
export function collated(text: string): string {
  const folded = foldText(text);
  return /^[\0-\x7f]*$/.test(folded) ? folded : Buffer.from(folded).toString("latin1");
}
