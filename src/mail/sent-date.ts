/** The instant that a Date: field names (RFC 5322 3.3, 4.3), as Dovecot reads it. */
import type { InternalDate } from "./internal-date.ts";

const months = "jan feb mar apr may jun jul aug sep oct nov dec".split(" ");
const pattern =
  /^(?:[a-z]{3}\s*,\s*)?(\d{1,2})\s+([a-z]{3})[a-z]*\s+(\d{4}|\d{2})\s+(\d{1,2})\s*[:.]\s*(\d{2})(?:\s*[:.]\s*(\d{2}))?(?:\s+(\S+)|$)/i;

/** No date is longer. */
const maxChars = 1_000;

/** undefined where it names none. */
export function sentDate(value: string): InternalDate | undefined {
  const match = pattern.exec(withoutComments(value.slice(0, maxChars)).trim());
  if (!match) return undefined;
  const [, day, monthName = "", year = "", hour, minute, second = "0", zone = ""] = match;
  const month = months.indexOf(monthName.toLowerCase());
  const fullYear = year.length === 2 ? Number(year) + (Number(year) < 70 ? 2000 : 1900) : Number(year);
  if (month < 0 || fullYear < 1900) return undefined;
  const [h, m, s] = [Number(hour), Number(minute), Number(second)];
  const midnight = new Date(Date.UTC(fullYear, month, Number(day)));
  // The 31st of February is no day.
  if (midnight.getUTCDate() !== Number(day) || h > 23 || m > 59 || s > 60) return undefined;
  const zoneMinutes = minutesOf(zone);
  return {
    epochSeconds: midnight.getTime() / 1000 + h * 3600 + m * 60 + Math.min(s, 59) - zoneMinutes * 60,
    zoneMinutes,
  };
}

const zones: Readonly<Record<string, number>> = {
  EST: -300,
  EDT: -240,
  CST: -360,
  CDT: -300,
  MST: -420,
  MDT: -360,
  PST: -480,
  PDT: -420,
};

function minutesOf(zone: string): number {
  const match = /^([+-])(\d{2})(\d{2})$/.exec(zone);
  if (!match) return zones[zone.toUpperCase()] ?? hoursOf(zone) * 60;
  const minutes = Number(match[2]) * 60 + Number(match[3]);
  return match[1] === "-" ? -minutes : minutes;
}

/** The letters of RFC 822 5.1, as they were meant there; upper case only, as for Dovecot. */
function hoursOf(letter: string): number {
  if (/^[A-I]$/.test(letter)) return letter.charCodeAt(0) - 64;
  if (/^[K-M]$/.test(letter)) return letter.charCodeAt(0) - 65;
  return /^[N-Y]$/.test(letter) ? 77 - letter.charCodeAt(0) : 0;
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
