import { expect, it } from "vitest";
import { encodedMailboxName } from "../../src/mail/ids.ts";
import { firstListing, withCreated } from "../../src/migration/local-names.ts";

const created = (name: string): string => {
  try {
    return withCreated(firstListing, encodedMailboxName(name)).mailboxes.at(-1)?.name ?? "";
  } catch (error) {
    return (error as { code: string }).code;
  }
};

it.each(["a%b", "a*b", "50%", "R&-D", "Entw&APw-rfe", "&2D3eAA-"])(
  "%j can be made, as with Dovecot",
  (name) => {
    expect(created(name)).toBe(name);
  },
);

it.each(["a&b", "&&&", "Entw\xfcrfe", "&AGE-", "a&APw", "a\x7f"])(
  "%j cannot, since Dovecot would not have it either",
  (name) => {
    expect(created(name)).toBe("CANNOT");
  },
);
