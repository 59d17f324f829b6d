/** The real servers that stand in for an old one, each with its own manners. */
import { startCourier } from "./courier.ts";
import { startCyrus } from "./cyrus.ts";
import { startDovecot } from "./dovecot.ts";
import type { MaildirLayout } from "./filler.ts";
import { startMailutils } from "./mailutils.ts";
import type { SnapshotOptions } from "./snapshot.ts";
import type { DiffOptions } from "./snapshot-diff.ts";
import type { UnpackedServer } from "./unpacked-server.ts";

export type LegacyServer = Pick<UnpackedServer, "host" | "ports" | "passwordOf" | "client" | "close"> & {
  /** Into the INBOX, where an APPEND will not do. */
  readonly deliver?: (user: string, message: Buffer) => Promise<void>;
};

export interface LegacyKind {
  readonly name: string;
  readonly layout: MaildirLayout;
  /** Its BODYSTRUCTURE is what ours is, once the message is here. */
  readonly hasOurStructures: boolean;
  /** LIST tells which names have others below them (RFC 3348). */
  readonly tellsChildren: boolean;
  /**
   * A mailbox that mail comes into while two sessions have it open keeps its UIDVALIDITY, and each of several may
   * add mail at the same time.
   */
  readonly bearsCrowds: boolean;
  /** How its account is looked at, and Mailferry's for comparison. */
  readonly looks?: SnapshotOptions;
  start(users: readonly string[]): Promise<LegacyServer>;
}

/** What two snapshots need not agree in: \Recent goes to who looks first. */
export function ignoredOf({
  hasOurStructures,
  tellsChildren,
}: LegacyKind): NonNullable<DiffOptions["ignore"]> {
  return [
    "RECENT",
    ...(hasOurStructures ? [] : (["BODYSTRUCTURE"] as const)),
    ...(tellsChildren ? [] : (["CHILDREN"] as const)),
  ];
}

export const legacyKinds: readonly LegacyKind[] = [
  {
    name: "Dovecot",
    layout: { separator: ".", prefix: "", listEscape: false },
    hasOurStructures: true,
    tellsChildren: true,
    bearsCrowds: true,
    start: (users) => startDovecot({ users }),
  },
  {
    name: "Cyrus",
    layout: { separator: "/", prefix: "", listEscape: false },
    hasOurStructures: false,
    tellsChildren: true,
    bearsCrowds: true,
    start: (users) => startCyrus({ users, config: ["munge8bit: no"] }),
  },
  {
    name: "Courier",
    layout: { separator: ".", prefix: "INBOX.", listEscape: false },
    hasOurStructures: false,
    tellsChildren: true,
    bearsCrowds: true,
    // With its locks, as it comes: without them two who add mail at once give UIDs against each other.
    start: (users) => startCourier({ users }),
  },
  {
    name: "Mailutils",
    layout: { separator: "/", prefix: "", listEscape: false },
    hasOurStructures: false,
    tellsChildren: false,
    bearsCrowds: false,
    // Its UIDL writes X-UIDL into messages; EXAMINE and STATUS make up a UID for what nobody has selected yet.
    looks: { selectFirst: true, withoutFields: ["X-UIDL"] },
    start: (users) => startMailutils({ users }),
  },
];

/** Mailutils tells the present second as the date of a message without one. */
export function datedMail(subject: string, text: string): Buffer {
  const date = "Mon, 13 Nov 2006 10:20:30 +0100";
  return Buffer.from(`Date: ${date}\r\nSubject: ${subject}\r\n\r\n${text}\r\n`);
}
