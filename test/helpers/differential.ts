/** Puts the same commands to two servers and tells where their answers differ. */
import type { Command } from "./differential-commands.ts";
import type { ImapClient } from "./imap-client.ts";
import { canonicalText, fetchItems, parseValues } from "./imap-values.ts";

export interface Difference {
  readonly command: string;
  readonly theirs: readonly string[];
  readonly ours: readonly string[];
}

export async function differencesOf(
  theirs: ImapClient,
  ours: ImapClient,
  commands: readonly Command[],
): Promise<Difference[]> {
  const differences: Difference[] = [];
  for (const command of commands) {
    const [left, right] = await Promise.all([answerOf(theirs, command), answerOf(ours, command)]);
    if (left.join("\n") === right.join("\n")) continue;
    const same = new Set(left.filter((line) => right.includes(line)));
    differences.push({
      command: command.map((piece) => piece.toString()).join(""),
      theirs: left.filter((line) => !same.has(line)),
      ours: right.filter((line) => !same.has(line)),
    });
  }
  return differences;
}

/** Order is free among LIST lines, among the attributes of a name and among the items of a FETCH. */
async function answerOf(client: ImapClient, command: Command): Promise<string[]> {
  const { status, text, untagged } = await client.command(...command);
  const code = /^\[([A-Z]+)/.exec(text)?.[1];
  const lines = untagged.map(normalised).filter((line) => line !== undefined);
  const isNames = /^(LIST|LSUB)/.test(command[0]?.toString() ?? "");
  // RFC 5530 1: a code says more than the RFC before it asks for.
  const shown = status === "OK" || code === "BADCHARSET" ? code : undefined;
  return [...(isNames ? lines.sort() : lines), `${status}${shown ? ` ${shown}` : ""}`];
}

function normalised(line: Buffer): string | undefined {
  const items = fetchItems(line);
  if (items) {
    const number = /^\* (\d+)/.exec(line.toString("latin1", 0, 20))?.[1];
    const sorted = [...items].sort(([a], [b]) => (a < b ? -1 : 1));
    return `${number} FETCH ${sorted.map(([name, value]) => `${name} ${flagsSorted(name, canonicalText(value))}`).join(" ")}`;
  }
  const text = line.toString("latin1");
  // Said of oneself, in one's own words.
  if (/^\* (OK|NO|BAD) /.test(text)) {
    const code = /\[([A-Z]+)/.exec(text)?.[1];
    return code === "PERMANENTFLAGS" ? undefined : code;
  }
  // RFC 3501 7.2.6: may be sent at any time; Dovecot does when a search names a new keyword.
  if (/^\* FLAGS /.test(text)) return undefined;
  if (/^\* (LIST|LSUB) /.test(text)) return namesSorted(line);
  // The tag is each connection's own.
  return text.replace(/\(TAG "[^"]*"\)/, "(TAG)").trimEnd();
}

/** Also RFC 3501 9, body-fld-enc: `"7BIT"` in any case, as all of ABNF; Dovecot's cache has another. */
function flagsSorted(name: string, text: string): string {
  if (name.startsWith("BODY") && !name.includes("[")) return text.replaceAll('"7bit"', '"7BIT"');
  return name === "FLAGS" ? text.slice(1, -1).split(" ").sort().join(" ") : text;
}

const hints = /^\\(un)?marked$/i;

function namesSorted(line: Buffer): string {
  const [, kind, attributes, separator, name] = parseValues(line).map(canonicalText);
  const plain = (text = ""): string => (text.startsWith('"') ? (JSON.parse(text) as string) : text);
  // RFC 3501 7.2.2: \\Marked and \\Unmarked are hints; RFC 5258 3: LSUB needs no children.
  const kept = (attributes ?? "()")
    .slice(1, -1)
    .split(" ")
    .filter((attribute) => !hints.test(attribute));
  const told = kind === "LSUB" ? kept.filter((attribute) => !/children$/i.test(attribute)) : kept;
  return `${kind} ${told.sort().join(" ")} ${separator} ${plain(name)}`;
}
