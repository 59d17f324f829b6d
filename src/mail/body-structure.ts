/** BODY and BODYSTRUCTURE (RFC 3501 7.4.2) of a part tree in wire form, byte for byte as Dovecot writes them. */
import { formatNstring, formatUnfolded } from "./imap-string.ts";
import type { MimeParam } from "./mime-params.ts";
import type { ContentFields, LeafPart, MessagePart, MimePart, MultipartPart } from "./mime-part.ts";

/** The non-extensible form, with its parentheses. */
export function formatBody(part: MimePart): Buffer {
  return format(part, false);
}

/** The extensible form, with its parentheses. */
export function formatBodyStructure(part: MimePart): Buffer {
  return format(part, true);
}

const defaultCharset = '"charset" "us-ascii"';
/** What a multipart without parts is said to hold, since RFC 3501 wants at least one. */
const emptyText = `"text" "plain" (${defaultCharset}) NIL NIL "7bit" 0 0`;

/** Pieces are gathered over all levels and joined once: what is deep down is not copied by each level. */
function format(part: MimePart, extended: boolean): Buffer {
  const out: string[] = [];
  write(out, part, extended);
  return Buffer.from(out.join(""), "latin1");
}

function write(out: string[], part: MimePart, extended: boolean): void {
  out.push("(");
  if (part.kind === "multipart") writeMultipart(out, part, extended);
  else writeSingle(out, part, extended);
  out.push(")");
}

function writeMultipart(out: string[], part: MultipartPart, extended: boolean): void {
  const { content, parts } = part;
  for (const child of parts) write(out, child, extended);
  if (parts.length === 0) out.push(`(${emptyText}${extended ? " NIL NIL NIL NIL" : ""})`);
  writeItems(out, [formatNstring(content.subtype)]);
  if (extended) writeItems(out, [formatParams(content.params, false), ...commonExtension(content)]);
}

function writeSingle(out: string[], part: LeafPart | MessagePart, extended: boolean): void {
  const { content, body } = part;
  const type = part.kind === "message" ? "message" : (content.type ?? "text");
  const subtype = part.kind === "message" ? "rfc822" : content.type === undefined ? "plain" : content.subtype;
  const isText = type.toLowerCase() === "text";
  out.push(formatNstring(type));
  writeItems(out, [
    formatNstring(subtype),
    formatParams(content.params, isText),
    formatUnfolded(content.id),
    formatUnfolded(content.description),
    formatNstring(content.encoding ?? "7bit"),
    `${body.virtualSizeBytes}`,
  ]);
  if (part.kind === "message") {
    writeItems(out, [part.envelope.toString("latin1"), ""]);
    write(out, part.message, extended);
  }
  if (isText || part.kind === "message") writeItems(out, [`${body.lineCount}`]);
  if (extended) writeItems(out, [formatUnfolded(content.md5), ...commonExtension(content)]);
}

/** Each with the space before it. */
function writeItems(out: string[], items: readonly string[]): void {
  for (const item of items) out.push(" ", item);
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
