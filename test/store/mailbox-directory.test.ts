import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { directoryOf, storageLevels, uniqueDirectory } from "../../src/store/mailbox-directory.ts";

describe("directoryOf", () => {
  // As a Dovecot 2.3.19 with listescape names them.
  test.each([
    ["INBOX", "/", "", ""],
    ["Sent", "/", "", ".Sent"],
    ["Archive/2019/May", "/", "", ".Archive.2019.May"],
    ["Archive.2019", ".", "", ".Archive.2019"],
    ["INBOX/x", "/", "", ".INBOX.x"],
    ["INBOX.Sent", ".", "INBOX.", ".Sent"],
    ["INBOX.INBOX", ".", "INBOX.", ".\\49NBOX"],
    ["INBOX.INBOX.x", ".", "INBOX.", ".INBOX.x"],
    ["user.bob", ".", "INBOX.", ".user.bob"],
    ["INBOX.a/b", ".", "INBOX.", ".a\\2fb"],
    ["a.b/c~d", "/", "", ".a\\2eb.c~d"],
    ["~tilde/~x", "/", "", ".\\7etilde.\\7ex"],
    ["back\\slash", "/", "", ".back\\5cslash"],
    ["&AOk-t&AOk-", "/", "", ".&AOk-t&AOk-"],
    ["sp ace/%", "/", "", ".sp ace.%"],
    ["flat.name", null, "", ".flat\\2ename"],
    ["ctl\x01x", "/", "", ".ctl\\01x"],
    ["raw\xe9", "/", "", ".raw\\e9"],
  ])("%j with separator %j and prefix %j is %j", (name, separator, prefix, directory) => {
    expect(directoryOf({ name, separator, prefix })).toBe(directory);
  });

  test.each(["a//b", "a/", "/a", "x".repeat(300)])("%j has a hashed folder", (name) => {
    expect(directoryOf({ name, separator: "/", prefix: "" })).toMatch(/^\.mailferry-[0-9a-f]{32}$/);
  });

  test("is one path step below the Maildir, and different names never meet", () => {
    const anyName = fc.string({
      minLength: 1,
      maxLength: 40,
      unit: fc.nat(255).map((n) => String.fromCharCode(n)),
    });
    fc.assert(
      fc.property(anyName, anyName, fc.constantFrom("/", ".", null), (a, b, separator) => {
        const [first, second] = [a, b].map((name) => directoryOf({ name, separator, prefix: "" }));
        for (const directory of [first, second]) {
          expect(directory).toMatch(/^(\.[^/\x00-\x1f\x7f-\uffff]+)?$/);
          expect([".", ".."]).not.toContain(directory);
          expect(Buffer.byteLength(directory ?? "")).toBeLessThan(250);
        }
        expect(first === second).toBe(a === b);
      }),
    );
  });
});

test("a taken folder gets a suffix", () => {
  const taken = new Set([".a", ".a-2"]);
  expect(uniqueDirectory(".a", (directory) => taken.has(directory))).toBe(".a-3");
  expect(uniqueDirectory(".b", (directory) => taken.has(directory))).toBe(".b");
});

test("storage levels are the folder between its dots", () => {
  expect(storageLevels({ name: "INBOX", separator: "/", prefix: "" })).toEqual(["INBOX"]);
  expect(storageLevels({ name: "a.b/c", separator: "/", prefix: "" })).toEqual(["a\\2eb", "c"]);
});
