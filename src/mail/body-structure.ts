/** BODY and BODYSTRUCTURE (RFC 3501 7.4.2) of a part tree in wire form, byte for byte as Dovecot writes them. */
import { formatNstring, formatUnfolded } from "./imap-string.ts";
import type { MimeParam } from "./mime-params.ts";
import type { ContentFields, LeafPart, MessagePart, MimePart, MultipartPart } from "./mime-part.ts";

/** The non-extensible form, with its parentheses. */
export function formatBody(part: MimePart): Buffer {
  return Buffer.from(format(part, false), "latin1");
}

/** The extensible form, with its parentheses. */
export function formatBodyStructure(part: MimePart): Buffer {
  return Buffer.from(format(part, true), "latin1");
}

const defaultCharset = '"charset" "us-ascii"';
/** What a multipart without parts is said to hold, since RFC 3501 wants at least one. */
const emptyText = `"text" "plain" (${defaultCharset}) NIL NIL "7bit" 0 0`;

function format(part: MimePart, extended: boolean): string {
  const items = part.kind === "multipart" ? multipartItems(part, extended) : singleItems(part, extended);
  return `(${items.join(" ")})`;
}

function multipartItems(part: MultipartPart, extended: boolean): readonly string[] {
  const { content } = part;
  const parts = part.parts.map((child) => format(child, extended)).join("");
  const items = [
    parts || `(${emptyText}${extended ? " NIL NIL NIL NIL" : ""})`,
    formatNstring(content.subtype),
  ];
  return extended ? [...items, formatParams(content.params, false), ...commonExtension(content)] : items;
}

function singleItems(part: LeafPart | MessagePart, extended: boolean): readonly string[] {
  const { content, body } = part;
  const type = part.kind === "message" ? "message" : (content.type ?? "text");
  const subtype = part.kind === "message" ? "rfc822" : content.type === undefined ? "plain" : content.subtype;
  const isText = type.toLowerCase() === "text";
  const items = [
    formatNstring(type),
    formatNstring(subtype),
    formatParams(content.params, isText),
    formatUnfolded(content.id),
    formatUnfolded(content.description),
    formatNstring(content.encoding ?? "7bit"),
    `${body.virtualSizeBytes}`,
  ];
  if (part.kind === "message") items.push(part.envelope.toString("latin1"), format(part.message, extended));
  if (isText || part.kind === "message") items.push(`${body.lineCount}`);
  return extended ? [...items, formatUnfolded(content.md5), ...commonExtension(content)] : items;
}

/** Disposition, language and location. */
function commonExtension({ disposition, language, location }: ContentFields): readonly string[] {
  return [
    disposition ? `(${formatNstring(disposition.value)} ${formatParams(disposition.params, false)})` : "NIL",
    language.length > 0 ? `(${language.map(formatNstring).join(" ")})` : "NIL",
    formatUnfolded(location),
  ];
}

function formatParams(params: readonly MimeParam[], isText: boolean): string {
  const items = params.map(({ name, value }) => `${formatNstring(name)} ${formatNstring(value)}`);
  if (isText && !params.some(({ name }) => name.toLowerCase() === "charset")) items.push(defaultCharset);
  return items.length > 0 ? `(${items.join(" ")})` : "NIL";
}
