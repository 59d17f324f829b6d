import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodedMailboxName } from "../../src/mail/ids.ts";
import { matchesPattern, parentsOf } from "../../src/mail/mailbox-pattern.ts";
import { startDovecot } from "../helpers/dovecot.ts";
import { quoted } from "../helpers/imap-client.ts";
import { listOf, parseValues, textOf } from "../helpers/imap-values.ts";

/** The definition, as slow as it is plain. */
function naive(name: string, pattern: string, separator: string | null): boolean {
  const [first, rest] = [pattern[0], pattern.slice(1)];
  if (first === undefined) return name === "";
  if (first !== "*" && first !== "%") return name[0] === first && naive(name.slice(1), rest, separator);
  if (naive(name, rest, separator)) return true;
  if (name === "" || (first === "%" && name[0] === separator)) return false;
  return naive(name.slice(1), pattern, separator);
}

describe("patterns", () => {
  test.each<[string, string, boolean]>([
    ["a/b", "*", true],
    ["a/b", "%", false],
    ["a/b", "%/%", true],
    ["a/b", "a/b", true],
    ["a/b", "A/b", false],
    ["a", "", false],
    ["INBOX", "inbox", true],
    ["INBOX", "iNb%", true],
    ["INBOX/Sub", "inbox/%", true],
    ["INBOX/Sub", "inbox/sub", false],
    ["INBOX2", "inbox2", false],
    ["a%b", "a%b", true],
  ])("%s by %s: %s", (name, pattern, expected) => {
    expect(matchesPattern(encodedMailboxName(name), pattern, "/")).toBe(expected);
  });

  test("agree with the definition", () => {
    const name = fc.string({ unit: fc.constantFrom("a", "b", "/"), maxLength: 8 });
    const pattern = fc.string({ unit: fc.constantFrom("a", "b", "/", "*", "%"), maxLength: 8 });
    fc.assert(
      fc.property(name, pattern, fc.constantFrom("/", null), (text, wanted, separator) => {
        const actual = matchesPattern(encodedMailboxName(text), wanted, separator);
        expect(actual).toBe(naive(text, wanted, separator));
      }),
      { numRuns: 2000 },
    );
  });

  test("a hostile one takes no time", () => {
    const started = performance.now();
    const name = encodedMailboxName("a".repeat(1000));
    expect(matchesPattern(name, `${"%a*a".repeat(300)}b`, "/")).toBe(false);
    expect(matchesPattern(name, `${"*a".repeat(32_000)}`, "/")).toBe(false);
    expect(performance.now() - started).toBeLessThan(2000);
  });

  test("agree with Dovecot's LIST", async () => {
    const dovecot = await startDovecot({ users: ["bob"], namespace: { separator: "/", listEscape: true } });
    try {
      const client = await dovecot.client("bob");
      const made = [
        "INBOX/Child",
        "INBOX/inbox",
        "Inbox2",
        "a.b/c",
        "ax/b",
        "100%",
        "star*red",
        "x/y/z/deep",
      ];
      for (const name of made) await client.ok(`CREATE ${quoted(name)}`);
      const list = async (pattern: string): Promise<string[]> => {
        const { untagged } = await client.ok(`LIST "" ${quoted(pattern)}`);
        const rows = untagged.map(parseValues).filter((row) => listOf(row[2]));
        return rows.map((row) => textOf(row[4])).sort();
      };
      const all = await list("*");
      const patterns =
        "inbox INBOX/% inb* %nbox i%x iNbOx/child *x *X i*d inbox2 %x/% % inbox% INBOX/INBOX %/inbox x/% x/%/% x/*p */*";
      for (const pattern of [...patterns.split(" "), "100%", "%/%", "a.b/*", "AX"]) {
        const ours = all.filter((name) => matchesPattern(encodedMailboxName(name), pattern, "/"));
        expect([pattern, ...ours]).toEqual([pattern, ...(await list(pattern))]);
      }
      client.close();
    } finally {
      await dovecot.close();
    }
  });
});

test.each<[string, string | null, string[]]>([
  ["a/b/c", "/", ["a", "a/b"]],
  ["a", "/", []],
  ["a/b", null, []],
  ["/a/b", "/", ["/a"]],
  ["a//b/", "/", ["a", "a//b"]],
  ["INBOX.x", ".", ["INBOX"]],
])("parents of %s", (name, separator, parents) => {
  expect(parentsOf(encodedMailboxName(name), separator)).toEqual(parents);
});
