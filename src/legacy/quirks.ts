/**
 * What old servers do otherwise than the RFCs have it, where no probing shows it: found by what a server says of
 * itself, as data. Everything else is found out as it happens (QUIRKS.md has the whole list).
 */
export interface Quirks {
  /** EXAMINE tells a UIDVALIDITY that the next session does not find again, until somebody has used SELECT. */
  readonly alwaysSelect: boolean;
}

interface KnownServer {
  readonly name: string;
  /** Found in the greeting. */
  readonly greeting: RegExp;
  readonly quirks: Partial<Quirks>;
  /** Where that is known from. */
  readonly source: string;
}

const knownServers: readonly KnownServer[] = [
  {
    name: "Courier",
    greeting: /Courier-IMAP/i,
    quirks: { alwaysSelect: true },
    source: "seen with 5.2: a Maildir that only POP3 was used on; Dovecot has no-examine for it",
  },
];

const none: Quirks = { alwaysSelect: false };

export function quirksOf(greeting: string): Quirks {
  const found = knownServers.find((server) => server.greeting.test(greeting));
  return { ...none, ...found?.quirks };
}
