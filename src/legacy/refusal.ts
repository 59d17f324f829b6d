/** What a refused command means to those who asked (see source.ts for the kinds). */
import { knownResponseCode, MailError } from "../errors.ts";
import { describeTagged, type Tagged } from "./untagged.ts";

/** RFC 5530 codes, and Google's own, of refusals that may pass by themselves. */
const passing = new Set([
  "UNAVAILABLE",
  "INUSE",
  "LIMIT",
  "SERVERBUG",
  "THROTTLED",
  "CONTACTADMIN",
  "OVERQUOTA",
]);

/** Those of them that say that there is too much going on, and nothing of what was asked for. */
const crowded = new Set(["INUSE", "LIMIT", "THROTTLED", "OVERQUOTA"]);

/** The old server wants to be asked less at the moment. */
export class Crowded extends MailError {}

export function isPassing(code: string | undefined): boolean {
  return code !== undefined && passing.has(code);
}

/** In a server's own words, where it gives no code: the mailbox is there, and cannot be had now. */
function isOfTheMoment(text: string): boolean {
  return /\block(ed)?\b|\bin use\b|\bbusy\b|try again|temporar|time(d )?out|overload/i.test(text);
}

/** Throws UNAVAILABLE, NONEXISTENT or CANNOT unless the command was done. */
export function expectOk(tagged: Tagged): void {
  if (tagged.status !== "OK") throw refusal(tagged);
}

/**
 * For commands that name a mailbox: most servers refuse a name that does not exist with a bare NO. INBOX
 * always exists, so there it is a passing fault.
 */
export function expectMailbox(tagged: Tagged, name: string): void {
  if (tagged.status === "OK") return;
  if (tagged.status === "NO" && tagged.code === undefined) {
    throw new MailError(
      name === "INBOX" || isOfTheMoment(tagged.text) ? "UNAVAILABLE" : "NONEXISTENT",
      tagged.text,
      describeTagged(tagged),
    );
  }
  throw refusal(tagged);
}

/**
 * A FETCH that met expunged messages is refused by some servers though everything else was sent
 * (RFC 2180 4.1, RFC 5530 EXPUNGEISSUED): the missing UIDs are simply not answered.
 */
export function expectFetched(tagged: Tagged): void {
  if (tagged.status === "OK" || tagged.code === "EXPUNGEISSUED") return;
  if (tagged.status === "NO" && /messages? no longer exist|have been expunged/i.test(tagged.text)) return;
  throw refusal(tagged);
}

/** A refused change is told to the client in the server's own words. */
export function expectChanged(tagged: Tagged): void {
  if (tagged.status === "OK") return;
  // Mailutils writes it in the middle: clients make the mailbox, and try again.
  const code = /\[TRYCREATE\]/i.test(tagged.text) ? "TRYCREATE" : knownResponseCode(tagged.code);
  throw new MailError(code, tagged.text, describeTagged(tagged));
}

function refusal(tagged: Tagged): MailError {
  const cause = describeTagged(tagged);
  if (tagged.code !== undefined && crowded.has(tagged.code))
    return new Crowded("UNAVAILABLE", tagged.text, cause);
  if (isPassing(tagged.code)) return new MailError("UNAVAILABLE", tagged.text, cause);
  if (tagged.code === "NONEXISTENT" || tagged.code === "TRYCREATE") {
    return new MailError("NONEXISTENT", tagged.text, cause);
  }
  return new MailError("CANNOT", tagged.text, cause);
}
