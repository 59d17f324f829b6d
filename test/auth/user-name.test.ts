import { describe, expect, it } from "vitest";
import { expandLogin, legacyFor, parseUserName } from "../../src/auth/user-name.ts";

describe("user names", () => {
  it.each([
    ["bob", "bob"],
    ["Bob", "bob"],
    ["Bob@Example.COM", "bob@example.com"],
    ["a@b@example.com", "a@b@example.com"],
  ])("%s is the account %s", (typed, canonical) => {
    expect(parseUserName(typed)?.canonical).toBe(canonical);
  });

  it("gives a bare name the domain of its listener", () => {
    expect(parseUserName("Bob", "Example.com")?.canonical).toBe("bob@example.com");
  });

  it.each(["", "@example.com", "a\0b", "a\r\nb", "x".repeat(321)])("refuses %j", (typed) => {
    expect(parseUserName(typed)).toBeUndefined();
  });

  it("fills the login template with the name as typed", () => {
    const user = parseUserName("Bob@Example.com")!;
    expect(expandLogin("%u", user)).toBe("Bob@Example.com");
    expect(expandLogin("%d\\%n", user)).toBe("Example.com\\Bob");
    expect(expandLogin("%n%%%x", user)).toBe("Bob%%x");
  });

  it("takes the first legacy server that names the domain; * takes all the others", () => {
    const entries = [{ domains: ["a.example", "b.example"] }, { domains: ["*"] }];
    expect(legacyFor(entries, parseUserName("x@B.example")!)).toBe(entries[0]);
    expect(legacyFor(entries, parseUserName("x@c.example")!)).toBe(entries[1]);
    expect(legacyFor(entries, parseUserName("x")!)).toBe(entries[1]);
    expect(legacyFor(entries.slice(0, 1), parseUserName("x")!)).toBeUndefined();
  });
});
