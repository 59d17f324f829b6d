/**
 * UIDLs that are a function of UID and UIDVALIDITY (Dovecot's pop3_uidl_format): `%u` and `%v`, each with
 * a width and `X` for hexadecimal (`%08Xu`; in lower case, as Dovecot writes it), `%f` the name of the
 * message's file, `%g` its GUID.
 */
import { type Uid, type Uidl, type UidValidity, uidl } from "./ids.ts";

export interface UidlParts {
  readonly uid: Uid;
  readonly uidValidity: UidValidity;
  /** Of a Maildir, without flags. */
  readonly fileName?: string | undefined;
  readonly guid?: string | undefined;
}

export interface UidlFormat {
  readonly text: string;
  /** UIDVALIDITY is part of it. */
  readonly hasValidity: boolean;
  /** undefined where something is wanted that is not known. */
  of(parts: UidlParts): Uidl | undefined;
}

/** What servers use that are no Dovecot, and Dovecot as it comes. */
export const uidlPresets = {
  dovecot: "%08Xu%08Xv",
  "dovecot-old": "%v.%u",
  cyrus: "%v.%u",
  "cyrus-old": "%u",
  courier: "%v-%u",
  "courier-old": "%u",
  uw: "%08Xv%08Xu",
} as const;

type Piece =
  | string
  | { readonly name: "u" | "v" | "f" | "g"; readonly width: number; readonly isHex: boolean };

const variable = /%(0\d{0,2})?(X)?([uvfg%])/y;

/** undefined for what is none: an unknown variable, or none that tells messages apart. */
export function parseUidlFormat(text: string): UidlFormat | undefined {
  const pieces: Piece[] = [];
  for (let at = 0; at < text.length; ) {
    if (text[at] !== "%") {
      const next = text.indexOf("%", at);
      const end = next < 0 ? text.length : next;
      pieces.push(text.slice(at, end));
      at = end;
      continue;
    }
    variable.lastIndex = at;
    const match = variable.exec(text);
    if (!match) return undefined;
    const [whole, width, hex, name] = match;
    pieces.push(
      name === "%" ? "%" : { name: name as "u", width: Number(width ?? 0), isHex: hex !== undefined },
    );
    at += whole.length;
  }
  const tellsApart = pieces.some((piece) => typeof piece !== "string" && piece.name !== "v");
  if (!tellsApart || /[^\x21-\x7e]/.test(text)) return undefined;
  const hasValidity = pieces.some((piece) => typeof piece !== "string" && piece.name === "v");
  return { text, hasValidity, of: (parts) => format(pieces, parts) };
}

function format(pieces: readonly Piece[], parts: UidlParts): Uidl | undefined {
  let text = "";
  for (const piece of pieces) {
    const value = typeof piece === "string" ? piece : textOf(piece, parts);
    if (value === undefined) return undefined;
    text += value;
  }
  return uidl(text);
}

function textOf(
  { name, width, isHex }: Exclude<Piece, string>,
  { uid, uidValidity, fileName, guid }: UidlParts,
): string | undefined {
  if (name === "f") return fileName;
  if (name === "g") return guid;
  return (name === "u" ? uid : uidValidity).toString(isHex ? 16 : 10).padStart(width, "0");
}
