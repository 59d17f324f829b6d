/**
 * A SearchKey as another server reads it (RFC 3501 6.4.4), for text that is not here. What only this
 * session knows (sequence numbers, \Recent) is written as UIDs.
 */
import { unreachable } from "../errors.ts";
import type { Uid } from "../mail/ids.ts";
import { formatNumberSet, type NumberRange, uidSetOf } from "../mail/number-set.ts";
import type { CalendarDate, SearchKey } from "../mail/search-key.ts";

export interface SearchCriteria {
  /** In wire form; each piece but the last ends with `{n}` CRLF, and the next begins with those n bytes. */
  readonly pieces: readonly Buffer[];
  /** UTF-8 where a text is not ASCII. */
  readonly charset: string | undefined;
}

/** Wire text as it is, or a value that is quoted or sent as a literal. */
type Part = string | { readonly value: string };

/** Sets in `key` must be without `*` and of UIDs (see `withUids`). */
export function searchCriteria(key: SearchKey, recent: ReadonlySet<Uid>): SearchCriteria {
  const parts = partsOf(key, recent);
  const isAscii = parts.every((part) => typeof part === "string" || /^[\x00-\x7f]*$/.test(part.value));
  const pieces: Buffer[] = [];
  let piece: Buffer[] = [];
  for (const part of parts) {
    const wire = typeof part === "string" ? part : quotedOf(part.value);
    if (wire !== undefined) piece.push(Buffer.from(wire, "latin1"));
    if (wire !== undefined || typeof part === "string") continue;
    const bytes = Buffer.from(part.value, "utf8");
    pieces.push(Buffer.concat([...piece, Buffer.from(`{${bytes.length}}\r\n`)]));
    piece = [bytes];
  }
  return { pieces: [...pieces, Buffer.concat(piece)], charset: isAscii ? undefined : "UTF-8" };
}

function quotedOf(value: string): string | undefined {
  return /^[\x20-\x7e]*$/.test(value) ? `"${value.replace(/["\\]/g, "\\$&")}"` : undefined;
}

function partsOf(key: SearchKey, recent: ReadonlySet<Uid>): readonly Part[] {
  const inner = (one: SearchKey): readonly Part[] => partsOf(one, recent);
  switch (key.kind) {
    case "all":
      return ["ALL"];
    case "and":
      return key.keys.length === 0
        ? ["ALL"]
        : ["(", ...key.keys.flatMap((one, at) => (at === 0 ? inner(one) : [" ", ...inner(one)])), ")"];
    case "or":
      return ["OR ", ...inner(key.either), " ", ...inner(key.other)];
    case "not":
      return ["NOT ", ...inner(key.key)];
    case "flag":
      return [formatFlag(key.flag)];
    case "recent":
      return [formatUids(uidSetOf(recent))];
    case "uid":
    case "sequence":
      return [formatUids(key.set.map(({ from, to }) => ({ from: Number(from), to: Number(to) })))];
    case "date":
      return [`${key.of === "sent" ? "SENT" : ""}${key.relation.toUpperCase()} ${formatDate(key.date)}`];
    case "size":
      return [`${key.relation.toUpperCase()} ${key.sizeBytes}`];
    case "header":
      return envelopeFields.has(key.field.toUpperCase())
        ? [`${key.field.toUpperCase()} `, { value: key.value }]
        : ["HEADER ", { value: key.field }, " ", { value: key.value }];
    case "body":
    case "text":
      return [`${key.kind.toUpperCase()} `, { value: key.value }];
    case "saved":
    case "age":
    case "modseq":
      throw new Error(`${key.kind} is answered here`);
    default:
      return unreachable(key);
  }
}

const envelopeFields = new Set(["FROM", "TO", "CC", "BCC", "SUBJECT"]);

function formatFlag(flag: string): string {
  return flag.startsWith("\\") ? flag.slice(1).toUpperCase() : `KEYWORD ${flag}`;
}

function formatUids(set: readonly NumberRange[]): string {
  return set.length === 0 ? "NOT ALL" : `UID ${formatNumberSet(set)}`;
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function formatDate({ year, month, day }: CalendarDate): string {
  return `${day}-${months[month - 1]}-${String(year).padStart(4, "0")}`;
}
