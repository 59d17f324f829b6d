/** The real servers that stand in for an old one, each with its own manners. */
import { startCourier } from "./courier.ts";
import { startCyrus } from "./cyrus.ts";
import { startDovecot } from "./dovecot.ts";
import type { MaildirLayout } from "./filler.ts";
import type { DiffOptions } from "./snapshot-diff.ts";
import type { UnpackedServer } from "./unpacked-server.ts";

export type LegacyServer = Pick<UnpackedServer, "host" | "ports" | "passwordOf" | "client" | "close">;

export interface LegacyKind {
  readonly name: string;
  readonly layout: MaildirLayout;
  /** Its BODYSTRUCTURE is what ours is, once the message is here. */
  readonly hasOurStructures: boolean;
  start(users: readonly string[]): Promise<LegacyServer>;
}

/** What two snapshots need not agree in: \Recent goes to who looks first. */
export function ignoredOf({ hasOurStructures }: LegacyKind): NonNullable<DiffOptions["ignore"]> {
  return hasOurStructures ? ["RECENT"] : ["RECENT", "BODYSTRUCTURE"];
}

export const legacyKinds: readonly LegacyKind[] = [
  {
    name: "Dovecot",
    layout: { separator: ".", prefix: "", listEscape: false },
    hasOurStructures: true,
    start: (users) => startDovecot({ users }),
  },
  {
    name: "Cyrus",
    layout: { separator: "/", prefix: "", listEscape: false },
    hasOurStructures: false,
    start: (users) => startCyrus({ users, config: ["munge8bit: no"] }),
  },
  {
    name: "Courier",
    layout: { separator: ".", prefix: "INBOX.", listEscape: false },
    hasOurStructures: false,
    start: (users) => startCourier({ users, config: ["IMAP_USELOCKS=0"] }),
  },
];
