/**
 * How the text of a part is read by SEARCH. Unlike BODYSTRUCTURE, Dovecot's search goes by the last field of a
 * name, whether the message says that it is MIME or not.
 */
import { fieldValue, headerFields } from "./header.ts";
import { readContentType, readParams } from "./mime-params.ts";
import { cursorOf, peek, readMimeToken, skipBlanks } from "./rfc822-lexer.ts";

export interface SearchFields {
  readonly isText: boolean;
  readonly charset: string | undefined;
  /** `broken`: nobody knows how to read it. */
  readonly encoding: string | undefined | "broken";
}

export function readSearchFields(header: Buffer): SearchFields {
  let isText = true;
  let charset: string | undefined;
  let encoding: string | undefined;
  for (const field of headerFields(header)) {
    const name = field.name.toLowerCase();
    if (name === "content-transfer-encoding") encoding = readEncoding(fieldValue(header, field));
    if (name !== "content-type") continue;
    const value = fieldValue(header, field);
    const cursor = cursorOf(value);
    const { type, wellFormed } = readContentType(cursor);
    isText = wellFormed && /^(text|message)$/i.test(type);
    if (wellFormed)
      charset ??= readParams(cursor).find((param) => param.name.toLowerCase() === "charset")?.value;
  }
  return { isText, charset, encoding };
}

/** As if it had parameters. */
function readEncoding(value: string): string | "broken" {
  const cursor = cursorOf(value);
  skipBlanks(cursor);
  const next = readMimeToken(cursor);
  const isEnd = next === "end" || (next === "more" && peek(cursor) === ";");
  return isEnd && cursor.word !== "" ? cursor.word : "broken";
}
