/**
 * The old server of one measurement: a Dovecot as people run it (files are flushed as by default), with or
 * without CONDSTORE, and users who all have the same INBOX, written once and linked for the others.
 */
import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { plainAccount } from "../../test/helpers/account-plans.ts";
import { type Dovecot, startDovecot } from "../../test/helpers/dovecot.ts";
import { type AccountPlan, fillMaildir } from "../../test/helpers/filler.ts";
import { treeCpuMs } from "../process-cpu.ts";
import { connectThin } from "../thin-client.ts";
import { goAhead } from "./ahead.ts";
import type { Busy } from "./quiet.ts";

const run = promisify(execFile);

/** A Maildir that others are made of. */
export interface Template {
  readonly maildir: string;
  readonly uids: readonly number[];
}

export interface OldServer extends Busy {
  readonly dovecot: Dovecot;
  readonly port: number;
  close(): Promise<void>;
}

export interface OldServerOptions {
  readonly condstore: boolean;
  readonly fsync: string;
  /** See ahead.ts. */
  readonly ahead: boolean;
  /** What each user's INBOX is. */
  readonly users: Readonly<Record<string, Template>>;
}

export async function writeTemplate(maildir: string, messages: number, sizeBytes: number): Promise<Template> {
  const uids: number[] = [];
  const plan = plainAccount({ seed: 1, messages, sizeBytes });
  const noting: AccountPlan = {
    ...plan,
    mailboxes: plan.mailboxes.map((mailbox) => ({
      ...mailbox,
      *messages() {
        for (const message of mailbox.messages()) {
          uids.push(message.uid);
          yield message;
        }
      },
    })),
  };
  await fillMaildir(maildir, noting, { separator: ".", prefix: "", listEscape: false });
  return { maildir, uids };
}

export async function startOldServer(options: OldServerOptions): Promise<OldServer> {
  const { condstore, fsync, ahead, users } = options;
  const extraConfig = `mail_fsync = ${fsync}\n${condstore ? "" : withoutCondstore}`;
  const dovecot = await startDovecot({
    users: Object.keys(users),
    protocols: ["imap"],
    started: false,
    extraConfig,
  });
  try {
    for (const [user, template] of Object.entries(users)) await link(template, dovecot.maildirOf(user));
    await dovecot.start();
    const master = Number(readFileSync(join(dovecot.root, "run", "master.pid"), "utf8"));
    if (ahead) goAhead(master);
    for (const user of Object.keys(users)) await settleIndex(dovecot, user, condstore);
    return {
      dovecot,
      port: dovecot.ports.imap,
      idleMs: 0.3,
      cpuMs: () => treeCpuMs(master),
      close: dovecot.close,
    };
  } catch (error) {
    await dovecot.close();
    throw error;
  }
}

/** What Dovecot 2.3 offers, but CONDSTORE, QRESYNC and ENABLE. */
const withoutCondstore = `protocol imap {
  imap_capability = IMAP4rev1 SASL-IR LOGIN-REFERRALS ID IDLE SORT SORT=DISPLAY THREAD=REFERENCES THREAD=REFS \
THREAD=ORDEREDSUBJECT MULTIAPPEND URL-PARTIAL CATENATE UNSELECT CHILDREN NAMESPACE UIDPLUS LIST-EXTENDED \
I18NLEVEL=1 ESEARCH ESORT SEARCHRES WITHIN CONTEXT=SEARCH LIST-STATUS BINARY MOVE SNIPPET=FUZZY PREVIEW=FUZZY \
PREVIEW STATUS=SIZE SAVEDATE LITERAL+ NOTIFY
}
`;

/** Mail is never changed in place, so that users can share it; what Dovecot writes is each one's own. */
async function link({ maildir }: Template, to: string): Promise<void> {
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(maildir)) {
    const how = ["cur", "new", "tmp"].includes(name) ? "-al" : "-a";
    await run("cp", [how, join(maildir, name), join(to, name)]);
  }
}

/** The index as it is in daily use: built, read, and written out whole. */
export async function settleIndex(dovecot: Dovecot, user: string, condstore: boolean): Promise<void> {
  for (let time = 0; time < 3; time++) {
    const client = await connectThin(dovecot.ports.imap);
    await client.ok(`LOGIN ${user} ${dovecot.passwordOf(user)}`);
    await client.ok(condstore ? "SELECT INBOX (CONDSTORE)" : "SELECT INBOX");
    await client.ok(condstore ? "UID FETCH 1:* (FLAGS MODSEQ)" : "UID FETCH 1:* (FLAGS)");
    await client.ok("LOGOUT").catch(() => undefined);
    client.close();
  }
}
