/** An account whose legacy server has POP3 only, that server in memory. */
import { afterEach, vi } from "vitest";
import { type Maildrop, openMaildrop } from "../../src/account/maildrop.ts";
import type { Pop3Session } from "../../src/legacy/pop3-client.ts";
import { silentLogger } from "../../src/log.ts";
import { inbox, type Uid } from "../../src/mail/ids.ts";
import type { MailboxMirror } from "../../src/migration/mailbox-mirror.ts";
import type { Mirror } from "../../src/migration/mirror.ts";
import { openPop3Mirror } from "../../src/migration/pop3-mirror.ts";
import type { AccountStore } from "../../src/store/store.ts";
import { createMemoryPop3, type MemoryMail, type MemoryPop3, mailText } from "../helpers/memory-pop3.ts";
import { createFixture } from "../store/fixture.ts";

export const { signal } = new AbortController();
export let server: MemoryPop3;
export let store: AccountStore;
export let mirror: Mirror;
const fixture = createFixture();

afterEach(async () => {
  vi.restoreAllMocks();
  await mirror.close();
  await fixture.remove();
});

export const mails = (count: number): MemoryMail[] =>
  Array.from({ length: count }, (_, index) => ({ uidl: `u${index}`, text: mailText(index) }));

/** The UIDL is the number in the session. */
export const counted = (texts: readonly string[]): MemoryMail[] =>
  texts.map((text, index) => ({ uidl: String(index + 1), text }));

export async function open(): Promise<void> {
  store = await fixture.open({ durable: true });
  mirror = await openPop3Mirror({
    store,
    source: server.source,
    logger: silentLogger,
    onOutcome: () => undefined,
  });
}

export async function reopen(): Promise<void> {
  await mirror.close();
  await open();
}

export async function start(box: readonly MemoryMail[]): Promise<void> {
  server = createMemoryPop3(box);
  await open();
}

export function alterSessions(alter: (session: Pop3Session) => Partial<Pop3Session>): void {
  const { open: openSession } = server.source;
  vi.spyOn(server.source, "open").mockImplementation(async (waiting) => {
    const session = await openSession(waiting);
    return { ...session, ...alter(session) };
  });
}

export const mailbox = (): Promise<MailboxMirror> => mirror.mailbox(inbox, signal);
export const uids = async (): Promise<readonly Uid[]> => (await mailbox()).state.table.uids;
export const pull = async (): Promise<string> => (await mirror.pull(signal)).kind;

export function maildrop(): Promise<Maildrop> {
  return openMaildrop({ mirror, lock: { isHeld: false }, signal, uidlFormat: "%08Xu%08Xv", markSeen: false });
}

export async function shownUidls(): Promise<string[]> {
  const shown = await maildrop();
  shown.close();
  return shown.messages.map(({ uidl }) => String(uidl));
}

export async function textsHere(): Promise<string[]> {
  const box = await mailbox();
  const texts = await Promise.all(
    (await uids()).map(async (uid) => {
      const content = await box.content(uid, signal);
      const bytes = await content?.read(0, content.sizeBytes);
      content?.close();
      return bytes?.toString() ?? "";
    }),
  );
  return texts;
}

/** As if so much time had passed. */
export function later(ms: number): void {
  const now = Date.now.bind(Date);
  vi.spyOn(Date, "now").mockImplementation(() => now() + ms);
}

export async function expunge(uid: Uid | undefined): Promise<void> {
  if (uid === undefined) throw new Error("no such message");
  const box = await mailbox();
  await mirror.authority.store(box, [uid], { kind: "add", flags: ["\\Deleted"] });
  await mirror.authority.expunge(box, [uid]);
}
