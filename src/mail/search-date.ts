/** Days as SEARCH compares them (RFC 3501 6.4.4): never with time or zone. */
import type { InternalDate } from "./internal-date.ts";
import type { CalendarDate } from "./search-key.ts";

/** The day of an INTERNALDATE in the zone it was written in. */
export function internalDay({ epochSeconds, zoneMinutes }: InternalDate): CalendarDate {
  const local = new Date((epochSeconds + zoneMinutes * 60) * 1000);
  return { year: local.getUTCFullYear(), month: local.getUTCMonth() + 1, day: local.getUTCDate() };
}

const months = "jan feb mar apr may jun jul aug sep oct nov dec".split(" ");
const datePattern = /^(?:[a-z]+,)?(\d{1,2}) ?([a-z]{3})[a-z]* ?(\d{2,4})(?: |$)/i;

/** The day that a Date: field names in its own zone (RFC 5322 3.3, 4.3); undefined where it names none. */
export function sentDay(value: string): CalendarDate | undefined {
  const plain = withoutComments(value)
    .replace(/[ \t\r\n]+/g, " ")
    .replace(/ ?, ?/, ",")
    .trim();
  const match = datePattern.exec(plain);
  if (!match) return undefined;
  const [, day, monthName, year] = match;
  const month = months.indexOf((monthName ?? "").toLowerCase()) + 1;
  return month === 0 ? undefined : { year: fullYear(year ?? ""), month, day: Number(day) };
}

export function compareDays(a: CalendarDate, b: CalendarDate): number {
  return a.year - b.year || a.month - b.month || a.day - b.day;
}

/** Obsolete years of two and three digits (RFC 5322 4.3). */
function fullYear(digits: string): number {
  const year = Number(digits);
  if (digits.length === 2) return year < 50 ? year + 2000 : year + 1900;
  return digits.length === 3 ? year + 1900 : year;
}

function withoutComments(text: string): string {
  let depth = 0;
  let kept = "";
  for (const char of text) {
    if (char === "(") depth++;
    else if (char === ")" && depth > 0) depth--;
    else if (depth === 0) kept += char;
  }
  return kept;
}
