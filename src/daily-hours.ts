/** Hours of each day in local time, `22:00-05:00`; they may pass midnight. */
export interface DailyHours {
  /** Minutes after midnight; `to` is the first that does not belong to them. */
  readonly from: number;
  readonly to: number;
}

const dayMinutes = 24 * 60;

/** undefined for a text that tells no hours. `24:00` is midnight at the end of a day. */
export function parseDailyHours(text: string): DailyHours | undefined {
  const found = /^(\d\d):([0-5]\d) *- *(\d\d):([0-5]\d)$/.exec(text);
  if (!found) return undefined;
  const [fromHour = 0, fromMinute = 0, toHour = 0, toMinute = 0] = found.slice(1).map(Number);
  const [from, to] = [fromHour * 60 + fromMinute, toHour * 60 + toMinute];
  return from < dayMinutes && to <= dayMinutes && from !== to ? { from, to } : undefined;
}

/** How long they still last, in milliseconds (Infinity for a whole day); undefined outside of them. */
export function untilEnd({ from, to }: DailyHours, at: Date): number | undefined {
  if (from === 0 && to === dayMinutes) return Number.POSITIVE_INFINITY;
  const minute = at.getHours() * 60 + at.getMinutes();
  const passesMidnight = from > to;
  const isInside = passesMidnight ? minute >= from || minute < to : minute >= from && minute < to;
  if (!isInside) return undefined;
  const day = at.getDate() + (passesMidnight && minute >= from ? 1 : 0);
  const leftMs = new Date(at.getFullYear(), at.getMonth(), day, 0, to).getTime() - at.getTime();
  // The hour that comes twice when summer time ends has had its end already.
  return leftMs > 0 ? leftMs : undefined;
}
