/**
 * Reads what is inside IMAP responses: atoms, NIL, strings (quoted or literal) and lists. Independent of
 * the server's own parser and formatter, which it helps to test.
 */
export type ImapValue =
  | { readonly kind: "atom"; readonly text: string }
  | { readonly kind: "nil" }
  | { readonly kind: "string"; readonly bytes: Buffer }
  | { readonly kind: "list"; readonly items: readonly ImapValue[] };

/** All values of one response, `*` and the like being atoms. */
export function parseValues(response: Buffer): ImapValue[] {
  const reader = { bytes: response, at: 0 };
  return readItems(reader, undefined);
}

/** One spelling for each value: strings always quoted with escapes, so that spellings compare equal. */
export function canonicalText(value: ImapValue): string {
  switch (value.kind) {
    case "atom":
      return value.text;
    case "nil":
      return "NIL";
    case "string":
      return JSON.stringify(value.bytes.toString("latin1"));
    case "list":
      return `(${value.items.map(canonicalText).join(" ")})`;
  }
}

/** The `name value` pairs of a FETCH response's list, names in upper case. */
export function fetchItems(response: Buffer): Map<string, ImapValue> | undefined {
  const [star, , word, list] = parseValues(response);
  if (star?.kind !== "atom" || word?.kind !== "atom" || word.text.toUpperCase() !== "FETCH") return undefined;
  if (list?.kind !== "list") return undefined;
  const items = new Map<string, ImapValue>();
  for (let index = 0; index + 1 < list.items.length; index += 2) {
    const name = list.items[index];
    const value = list.items[index + 1];
    if (name?.kind === "atom" && value) items.set(name.text.toUpperCase(), value);
  }
  return items;
}

/** The bytes of a string or atom as latin1; empty for anything else. */
export function textOf(value: ImapValue | undefined): string {
  if (value?.kind === "atom") return value.text;
  return value?.kind === "string" ? value.bytes.toString("latin1") : "";
}

export function listOf(value: ImapValue | undefined): readonly ImapValue[] {
  return value?.kind === "list" ? value.items : [];
}

interface Reader {
  readonly bytes: Buffer;
  at: number;
}

function readItems(reader: Reader, close: number | undefined): ImapValue[] {
  const items: ImapValue[] = [];
  while (reader.at < reader.bytes.length) {
    const byte = reader.bytes[reader.at];
    if (byte === close) {
      reader.at++;
      return items;
    }
    if (byte === 0x20) reader.at++;
    else items.push(readValue(reader));
  }
  if (close !== undefined) throw new Error(`unclosed list: ${reader.bytes.toString("latin1", 0, 400)}`);
  return items;
}

function readValue(reader: Reader): ImapValue {
  switch (reader.bytes[reader.at]) {
    case 0x28: // (
      reader.at++;
      return { kind: "list", items: readItems(reader, 0x29) };
    case 0x22: // "
      return readQuoted(reader);
    case 0x7b: // {
      return readLiteral(reader);
    case 0x7e: // ~{ of literal8; otherwise an atom
      if (reader.bytes[reader.at + 1] === 0x7b) {
        reader.at++;
        return readLiteral(reader);
      }
      return readAtom(reader);
    default:
      return readAtom(reader);
  }
}

function readQuoted(reader: Reader): ImapValue {
  const { bytes } = reader;
  const kept: number[] = [];
  for (let at = reader.at + 1; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (byte === 0x22) {
      reader.at = at + 1;
      return { kind: "string", bytes: Buffer.from(kept) };
    }
    kept.push(byte === 0x5c ? (bytes[++at] as number) : byte);
  }
  throw new Error(`unclosed string: ${bytes.toString("latin1", 0, 400)}`);
}

function readLiteral(reader: Reader): ImapValue {
  const header = /^\{(\d+)\+?\}\r\n/.exec(reader.bytes.toString("latin1", reader.at, reader.at + 16));
  if (!header?.[1]) return readAtom(reader);
  const start = reader.at + header[0].length;
  reader.at = start + Number(header[1]);
  return { kind: "string", bytes: reader.bytes.subarray(start, reader.at) };
}

function readAtom(reader: Reader): ImapValue {
  const { bytes } = reader;
  const start = reader.at;
  let bracketDepth = 0;
  for (; reader.at < bytes.length; reader.at++) {
    const byte = bytes[reader.at];
    if (byte === 0x5b) bracketDepth++;
    else if (byte === 0x5d) bracketDepth--;
    else if (bracketDepth <= 0 && (byte === 0x20 || byte === 0x28 || byte === 0x29)) break;
  }
  if (reader.at === start) reader.at++;
  const text = bytes.toString("latin1", start, reader.at);
  return text.toUpperCase() === "NIL" ? { kind: "nil" } : { kind: "atom", text };
}
