/**
 * ENVELOPE (RFC 3501 7.4.2) of a header block in wire form, byte for byte as Dovecot computes it: raw
 * field values (encoded words and 8-bit text untouched); of several fields of one name the last counts, but
 * addresses of all are listed; Sender and Reply-To taken from From where they are missing or empty.
 */
import { type Address, parseAddressLists } from "./address.ts";
import { fieldValue, headerFields } from "./header.ts";
import { formatForHumans, formatNstring, formatUnfolded } from "./imap-string.ts";

/** What lies behind is not seen, as with Dovecot. */
const maxHeaderBytes = 10 << 20;

/** The parenthesised list. */
export function formatEnvelope(header: Buffer): Buffer {
  const values = envelopeValues(header.subarray(0, maxHeaderBytes));
  const last = (name: string): string | undefined => values.get(name)?.at(-1);
  const addresses = (name: string): string => formatAddresses(parseAddressLists(values.get(name) ?? []));
  const subject = last("subject");
  const from = addresses("from");
  const orFrom = (list: string): string => (list === "NIL" ? from : list);
  const items = [
    formatUnfolded(last("date")),
    subject === undefined ? "NIL" : formatForHumans(subject),
    from,
    orFrom(addresses("sender")),
    orFrom(addresses("reply-to")),
    addresses("to"),
    addresses("cc"),
    addresses("bcc"),
    formatUnfolded(last("in-reply-to")),
    formatUnfolded(last("message-id")),
  ];
  return Buffer.from(`(${items.join(" ")})`, "latin1");
}

const fieldNames = new Set("date subject from sender reply-to to cc bcc in-reply-to message-id".split(" "));

/** The values of the fields that matter (a line without a colon is none), by lower-case name, in order. */
function envelopeValues(header: Buffer): ReadonlyMap<string, readonly string[]> {
  const values = new Map<string, string[]>();
  for (const field of headerFields(header)) {
    const name = field.name.toLowerCase();
    if (!field.hasValue || !fieldNames.has(name)) continue;
    const value = fieldValue(header, field);
    const known = values.get(name);
    if (known) known.push(value);
    else values.set(name, [value]);
  }
  return values;
}

function formatAddresses(addresses: readonly Address[]): string {
  if (addresses.length === 0) return "NIL";
  return `(${addresses.map(formatAddress).join("")})`;
}

function formatAddress({ name, route, mailbox, domain }: Address): string {
  const shownName = name === undefined ? "NIL" : formatForHumans(name);
  return `(${shownName} ${formatNstring(route)} ${formatNstring(mailbox)} ${formatNstring(domain)})`;
}
