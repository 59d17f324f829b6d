/** When a message came, for one whose server does not tell: by its own header, as its last relay wrote it. */
import { firstValues } from "./first-values.ts";
import type { InternalDate } from "./internal-date.ts";
import { sentDate } from "./sent-date.ts";

const wanted: ReadonlySet<string> = new Set(["received", "date"]);

/** undefined where the header names no time. */
export function receivedDate(header: Buffer): InternalDate | undefined {
  const values = firstValues(header, wanted);
  const received = values.get("received") ?? "";
  // RFC 5321 4.4: the time stands behind the last semicolon.
  return (
    sentDate(unfolded(received.slice(received.lastIndexOf(";") + 1))) ??
    sentDate(unfolded(values.get("date") ?? ""))
  );
}

function unfolded(value: string): string {
  return value.replace(/\s+/g, " ").trim();
}
