import { fieldValue, headerFields } from "./header.ts";

/** Of a hostile header; the longest chains of References have some ten thousand. */
const maxChars = 64 << 10;

/** What the first field of each of `names` (lower case) says; of those that are there. */
export function firstValues(header: Buffer, names: ReadonlySet<string>): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const field of headerFields(header)) {
    const name = field.name.toLowerCase();
    if (!names.has(name) || values.has(name) || !field.hasValue) continue;
    values.set(name, fieldValue(header, field).slice(0, maxChars));
    if (values.size === names.size) break;
  }
  return values;
}
