/**
 * What old servers do otherwise than the RFCs have it, where no probing shows it in time: found by what a server
 * says of itself, as data. Everything else is found out as it happens (QUIRKS.md has the whole list).
 */
export interface Quirks {
  /** EXAMINE tells a UIDVALIDITY that the next session does not find again, until somebody has used SELECT. */
  readonly alwaysSelect: boolean;
  /** So does STATUS: SELECT is asked in its place. */
  readonly selectsForStatus: boolean;
  /** A UID that is not there is taken for one nearby, or makes it refuse the whole set. */
  readonly guessesUids: boolean;
  /**
   * A session sees the mailbox as it was when it was selected: what another has changed since, it shows as an empty
   * message. Changed flags are written when the mailbox is left, and are lost where another was faster.
   */
  readonly frozenSessions: boolean;
  /**
   * Two sessions that look at one mailbox while mail arrives give it a new UIDVALIDITY between them, and spoil each
   * other's APPEND and COPY: a user's sessions take turns.
   */
  readonly loneSessions: boolean;
  /** Capabilities that it does not live up to. */
  readonly withheld: readonly string[];
}

interface KnownServer {
  readonly name: string;
  /** Found in the greeting. */
  readonly greeting: RegExp;
  /** And by a capability that it lacks. */
  readonly lacks?: string;
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
  {
    name: "GNU Mailutils imap4d",
    greeting: /^IMAP4rev1$/,
    lacks: "UIDPLUS",
    quirks: {
      alwaysSelect: true,
      selectsForStatus: true,
      guessesUids: true,
      frozenSessions: true,
      loneSessions: true,
      withheld: ["IDLE"],
    },
    source: "seen with 3.15, Maildir and mbox; its IDLE tells nothing before DONE",
  },
];

const none: Quirks = {
  alwaysSelect: false,
  selectsForStatus: false,
  guessesUids: false,
  frozenSessions: false,
  loneSessions: false,
  withheld: [],
};

export function quirksOf(greeting: string, capabilities: ReadonlySet<string>): Quirks {
  const found = knownServers.find(
    (server) =>
      server.greeting.test(greeting) && (server.lacks === undefined || !capabilities.has(server.lacks)),
  );
  return { ...none, ...found?.quirks };
}
