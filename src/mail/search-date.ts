/** Days as SEARCH compares them (RFC 3501 6.4.4): never with time or zone. */
import type { InternalDate } from "./internal-date.ts";
import type { CalendarDate } from "./search-key.ts";
import { sentDate } from "./sent-date.ts";

/** The day of an INTERNALDATE in the zone it was written in. */
export function internalDay({ epochSeconds, zoneMinutes }: InternalDate): CalendarDate {
  const local = new Date((epochSeconds + zoneMinutes * 60) * 1000);
  return { year: local.getUTCFullYear(), month: local.getUTCMonth() + 1, day: local.getUTCDate() };
}

/** The day that a Date: field names in its own zone; undefined where it names none. */
export function sentDay(value: string): CalendarDate | undefined {
  const sent = sentDate(value);
  return sent && internalDay(sent);
}

export function compareDays(a: CalendarDate, b: CalendarDate): number {
  return a.year - b.year || a.month - b.month || a.day - b.day;
}
