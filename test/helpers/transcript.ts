/**
 * Plays golden dialogues from test/transcripts against a server. A file is a list of lines:
 *
 *   # a comment
 *   C: a1 NOOP            sent with CRLF; `C2:` and `S2:` are a second connection, and so on
 *   S: a1 OK {{*}}        the next line that is received: `{{*}}` is any text, `{{name}}` a value that is
 *                         captured the first time and must be the same afterwards, in C: lines too
 *   S: <closed>           the server has closed the connection
 *   ! deliver INBOX Hi    an action that the test supplies
 *
 * A connection opens with its first line.
 */
import { readFileSync } from "node:fs";
import { connectClient, type LineClient } from "./line-client.ts";

export interface TranscriptOptions {
  readonly port: number;
  readonly byteByByte: boolean;
  /** What `!` lines do: the words of the line. */
  readonly act?: (words: readonly string[]) => void | Promise<void>;
  /** What is captured from the beginning. */
  readonly values?: Readonly<Record<string, string>>;
}

export async function playTranscript(file: string, options: TranscriptOptions): Promise<void> {
  const clients = new Map<string, LineClient>();
  const captured = new Map<string, string>(Object.entries(options.values ?? {}));
  const clientOf = async (name: string): Promise<LineClient> => {
    const client = clients.get(name) ?? (await connectClient(options.port));
    clients.set(name, client);
    return client;
  };
  try {
    for (const [index, line] of readFileSync(file, "latin1").split("\n").entries()) {
      if (line === "" || line.startsWith("#")) continue;
      if (line.startsWith("! ")) {
        await options.act?.(line.slice(2).split(" "));
        continue;
      }
      const match = /^([CS])(\d*): ?(.*)$/.exec(line);
      if (!match) throw new Error(`${file}:${index + 1}: not a transcript line: ${line}`);
      const client = await clientOf(match[2] ?? "");
      const text = match[3] ?? "";
      if (match[1] === "C") {
        const bytes = `${text.replace(/\{\{(\w+)\}\}/g, (_, name: string) => captured.get(name) ?? "")}\r\n`;
        if (options.byteByByte) await client.sendByteByByte(bytes);
        else client.send(bytes);
      } else {
        expectLine(await client.line(), text, captured, `${file}:${index + 1}`);
      }
    }
  } finally {
    for (const client of clients.values()) client.close();
  }
}

function expectLine(
  actual: string | undefined,
  expected: string,
  captured: Map<string, string>,
  where: string,
): void {
  if (expected === "<closed>") {
    if (actual !== undefined) throw new Error(`${where}: expected the end, received: ${actual}`);
    return;
  }
  const names: string[] = [];
  const pattern = expected
    .split(/(\{\{(?:\*|\w+)\}\})/)
    .map((piece) => {
      const name = /^\{\{(\*|\w+)\}\}$/.exec(piece)?.[1];
      if (name === undefined) return escapeRegExp(piece);
      if (name === "*") return ".*";
      const known = captured.get(name);
      if (known !== undefined) return escapeRegExp(known);
      names.push(name);
      return "(.+?)";
    })
    .join("");
  const match = actual === undefined ? null : new RegExp(`^${pattern}$`, "s").exec(actual);
  if (!match) throw new Error(`${where}:\n  expected: ${expected}\n  received: ${actual ?? "<closed>"}`);
  for (const [index, name] of names.entries()) captured.set(name, match[index + 1] ?? "");
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
