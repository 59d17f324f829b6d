/** Header keys of SEARCH: a field of a message's header, decoded, addresses in their plain form too. */
import { parseAddressList } from "./address.ts";
import { fieldValue, headerFields } from "./header.ts";
import { decodeHeaderText } from "./header-text.ts";
import { sentDay } from "./search-date.ts";
import { foldText } from "./search-fold.ts";
import type { CalendarDate } from "./search-key.ts";

const noDay: CalendarDate = { year: 1970, month: 1, day: 1 };
const addressFields = new Set(["from", "to", "cc", "bcc"]);

/** `folded` is the value looked for, folded; empty, it asks whether there is such a field. */
export function headerMatches(header: Buffer, field: string, folded: string): boolean {
  const wanted = field.toLowerCase();
  for (const found of headerFields(header)) {
    if (found.name.toLowerCase() !== wanted || !found.hasValue) continue;
    if (foldText(comparable(wanted, fieldValue(header, found))).includes(folded)) return true;
  }
  return false;
}

/** The day of the first Date: field; without one that can be read it is the first of 1970, as for Dovecot. */
export function sentDayOf(header: Buffer): CalendarDate {
  for (const field of headerFields(header)) {
    if (field.name.toLowerCase() === "date" && field.hasValue)
      return sentDay(fieldValue(header, field)) ?? noDay;
  }
  return noDay;
}

/**
 * FROM and its like look at addresses as ENVELOPE has them, not at their spelling (RFC 3501 6.4.4); in
 * a subject, white space counts once, as Dovecot has it.
 */
function comparable(field: string, value: string): string {
  if (addressFields.has(field)) return decodeHeaderText(Buffer.from(plainAddresses(value), "latin1"));
  const text = decodeHeaderText(Buffer.from(value, "latin1"));
  return field === "subject" ? text.replace(/[ \t]+/g, " ") : text;
}

/** `"A. Name" <mailbox@domain>, group: <a@b>;`, however the field spells it. */
function plainAddresses(value: string): string {
  let text = "";
  let inGroup = false;
  for (const { name, route, mailbox, domain } of parseAddressList(value)) {
    if (domain !== undefined) {
      const address = `${route ? `${route}:` : ""}${quotedIfNeeded(mailbox ?? "", /[^\w!#$%&'*+\-/=?^`{|}~.]/)}@${domain}`;
      text += `${name === undefined ? "" : `${quotedName(name)} `}<${address}>, `;
      continue;
    }
    if (inGroup) text = `${text.replace(/, $/, "").trimEnd()};, `;
    else text += `${quotedName(mailbox ?? "")}: `;
    inGroup = !inGroup;
  }
  return text.replace(/, $/, "");
}

/** An encoded word may not be within quotes (RFC 2047 5). */
function quotedName(name: string): string {
  return name.includes("=?") ? name : quotedIfNeeded(name, /[^\w!#$%&'*+\-/=?^`{|}~]|^$/);
}

function quotedIfNeeded(text: string, special: RegExp): string {
  return special.test(text) ? `"${text.replace(/["\\]/g, "\\$&")}"` : text;
}
