/**
 * INTERNALDATE (RFC 3501 `date-time`): the instant and the zone it was written in, since a client sees
 * both and either changing looks like another message.
 */
export interface InternalDate {
  /** Seconds since 1970-01-01T00:00:00Z; negative before. */
  readonly epochSeconds: number;
  /** Offset of the zone in minutes east of UTC, -5999..5999. */
  readonly zoneMinutes: number;
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"] as const;
const pattern = /^\s?(\d{1,2})-([A-Za-z]{3})-(\d{4}) (\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})$/;

/** Parses ` 7-Jul-1996 02:44:25 -0700` (without the quotes); undefined where it is not a date-time. */
export function parseInternalDate(text: string): InternalDate | undefined {
  const match = pattern.exec(text);
  if (!match) return undefined;
  const [, day, monthName, year, hour, minute, second, sign, zoneHours, zoneMins] = match;
  const month = months.findIndex((name) => name.toLowerCase() === monthName?.toLowerCase());
  // What some servers tell where they know none: 00-Jan-0000.
  if (month < 0 || Number(day) === 0 || Number(year) === 0) return undefined;
  const zoneMinutes = (sign === "-" ? -1 : 1) * (Number(zoneHours) * 60 + Number(zoneMins));
  // Date.UTC takes years below 100 for 19xx; setUTCFullYear does not.
  const date = new Date(0);
  date.setUTCFullYear(Number(year), month, Number(day));
  date.setUTCHours(Number(hour), Number(minute), Number(second));
  return { epochSeconds: date.getTime() / 1000 - zoneMinutes * 60, zoneMinutes };
}

/** Formats as RFC 3501 `date-time` without the quotes: two characters for the day, space-padded. */
export function formatInternalDate({ epochSeconds, zoneMinutes }: InternalDate): string {
  const local = new Date((epochSeconds + zoneMinutes * 60) * 1000);
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = two(local.getUTCDate());
  const month = months[local.getUTCMonth()];
  const year = String(local.getUTCFullYear()).padStart(4, "0");
  const time = `${two(local.getUTCHours())}:${two(local.getUTCMinutes())}:${two(local.getUTCSeconds())}`;
  return `${day}-${month}-${year} ${time} ${formatZone(zoneMinutes)}`;
}

/** `+0130`, `-0700`. */
export function formatZone(zoneMinutes: number): string {
  const absolute = Math.abs(zoneMinutes);
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${zoneMinutes < 0 ? "-" : "+"}${two(Math.floor(absolute / 60))}${two(absolute % 60)}`;
}
