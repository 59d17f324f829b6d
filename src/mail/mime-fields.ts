/**
 * The Content-* fields of one part's header, and whether they count: without MIME-Version or
 * Content-Type a message is not MIME, as Dovecot has it; a part of a multipart always is.
 */
import { fieldValue, headerFields } from "./header.ts";
import { readContentType, readParams } from "./mime-params.ts";
import type { ContentFields } from "./mime-part.ts";
import { atEnd, cursorOf, peek, readAtom, readMimeToken, skipBlanks } from "./rfc822-lexer.ts";
import type { TreeBudget } from "./tree-budget.ts";

type Draft = { -readonly [Key in keyof ContentFields]: ContentFields[Key] };

export const noContentFields = (): ContentFields => emptyDraft();

const emptyDraft = (): Draft => ({
  type: undefined,
  subtype: "",
  params: [],
  encoding: undefined,
  id: undefined,
  description: undefined,
  md5: undefined,
  disposition: undefined,
  language: [],
  location: undefined,
});

export function readContentFields(header: Buffer, isMimePart: boolean, budget: TreeBudget): ContentFields {
  const draft = emptyDraft();
  let isMime = isMimePart;
  for (const field of headerFields(header)) {
    const name = field.name.toLowerCase();
    if (name === "mime-version" || name === "content-type") isMime = true;
    const read = name.startsWith("content-") ? readers.get(name.slice(8)) : undefined;
    const sizeBytes = field.end - field.valueStart;
    if (!read || sizeBytes > budget.fieldBytes) continue;
    budget.fieldBytes -= sizeBytes;
    read(draft, fieldValue(header, field), budget);
  }
  return isMime ? draft : emptyDraft();
}

type Reader = (draft: Draft, value: string, budget: TreeBudget) => void;

/** The first field of a name counts, but for a disposition without parameters and a broken encoding. */
const readers: ReadonlyMap<string, Reader> = new Map([
  ["type", readType],
  ["transfer-encoding", readEncoding],
  ["disposition", readDisposition],
  ["language", readLanguage],
  ["id", textReader("id")],
  ["description", textReader("description")],
  ["md5", textReader("md5")],
  ["location", textReader("location")],
]);

function textReader(key: "id" | "description" | "md5" | "location"): Reader {
  return (draft, value) => {
    draft[key] ??= value;
  };
}

function readType(draft: Draft, value: string, budget: TreeBudget): void {
  if (draft.type !== undefined) return;
  const cursor = cursorOf(value);
  const { type, subtype, wellFormed } = readContentType(cursor);
  draft.type = type;
  draft.subtype = subtype;
  if (wellFormed) draft.params = readParams(cursor, budget);
}

function readEncoding(draft: Draft, value: string): void {
  if (draft.encoding !== undefined) return;
  const cursor = cursorOf(value);
  skipBlanks(cursor);
  if (readMimeToken(cursor) === "end" && cursor.word !== "") draft.encoding = cursor.word;
}

function readDisposition(draft: Draft, value: string, budget: TreeBudget): void {
  if (draft.disposition && draft.disposition.params.length > 0) return;
  const cursor = cursorOf(value);
  skipBlanks(cursor);
  if (readMimeToken(cursor) === "broken") return;
  draft.disposition = { value: cursor.word, params: readParams(cursor, budget) };
}

/** `Content-Language: de, en` (RFC 3282). */
function readLanguage(draft: Draft, value: string, budget: TreeBudget): void {
  if (draft.language.length > 0) return;
  const cursor = cursorOf(value);
  const languages: string[] = [];
  skipBlanks(cursor);
  while (budget.items > 0 && readAtom(cursor) !== "broken") {
    languages.push(cursor.word);
    budget.items--;
    cursor.word = "";
    if (atEnd(cursor) || peek(cursor) !== ",") break;
    cursor.at++;
    skipBlanks(cursor);
  }
  draft.language = languages;
}
