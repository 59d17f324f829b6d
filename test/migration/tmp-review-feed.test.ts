import { afterEach, expect, it } from "vitest";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { MailError } from "../../src/errors.ts";
import type { Pop3Session } from "../../src/legacy/pop3-client.ts";
import type { Pop3Source } from "../../src/legacy/pop3-source.ts";
import { silentLogger } from "../../src/log.ts";
import { uidl, inbox } from "../../src/mail/ids.ts";
import { openPop3Mirror } from "../../src/migration/pop3-mirror.ts";
import { verifyMaildrop } from "../../src/migration/verify-maildrop.ts";
import type { Mirror } from "../../src/migration/mirror.ts";
import type { AccountStore } from "../../src/store/store.ts";
import { openMaildrop } from "../../src/account/maildrop.ts";
import { createFixture } from "../store/fixture.ts";

const { signal } = new AbortController();
interface Msg { uidl: string | undefined; text: string; listed?: number; broken?: boolean }
let box: Msg[] = [];
let deleted: string[] = [];
let down = false;
let quitFails = false;
let lostQuit = false;

function session(): Pop3Session {
  const here = [...box];
  const marked = new Set<Msg>();
  let closed = false;
  const gone = () => { if (closed) throw new MailError("UNAVAILABLE", "lost"); };
  const at = (n: number) => { const m = here[n - 1]; if (!m) throw new MailError("CANNOT", "no such"); return m; };
  return {
    capabilities: new Map(),
    get isClosed() { return closed; },
    list: async () => { gone(); return new Map(here.map((m, i) => [i + 1, m.listed ?? m.text.length])); },
    uidls: async () => { gone(); return new Map(here.flatMap((m, i) => m.uidl === undefined ? [] : [[i + 1, uidl(m.uidl)] as const])); },
    async retrieve(n, write) { gone(); const m = at(n); if (m.broken) { closed = true; } gone(); await write(Buffer.from(m.text)); },
    async top(n) { gone(); return Buffer.from(at(n).text); },
    async remove(n) { gone(); marked.add(at(n)); },
    reset: async () => marked.clear(),
    noop: async () => undefined,
    async quit() {
      gone(); closed = true;
      if (quitFails) throw new MailError("UNAVAILABLE", "The old POP3 server: the server has closed the connection");
      deleted.push(...[...marked].map((m) => m.text)); box = box.filter((m) => !marked.has(m));
      if (lostQuit && marked.size > 0) throw new MailError("UNAVAILABLE", "lost in QUIT");
    },
    close() { closed = true; },
  };
}
const source: Pop3Source = {
  async open() { if (down) throw new MailError("UNAVAILABLE", "down"); return session(); },
  async inBackground(s, work) {
    if (down) throw new MailError("UNAVAILABLE", "down");
    const one = session();
    try { const r = await work(one, s); await one.quit(); return r; } finally { one.close(); }
  },
  adopt() {}, async close() {},
};
const text = (n: number | string) => `From: a\r\nSubject: ${n}\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\nbody ${n}\r\n`;
const fixture = createFixture();
let store: AccountStore; let mirror: Mirror;
async function open() { store = await fixture.open({ durable: true }); mirror = await openPop3Mirror({ store, source, logger: silentLogger, onOutcome: () => undefined }); }
async function reopen() { await mirror.close(); await open(); }
const count = async () => (await mirror.mailbox(inbox, signal)).state.table.uids.length;
const pop3 = async () => { const m = await openMaildrop({ mirror, lock: { isHeld: false }, signal, uidlFormat: "%08Xu%08Xv", markSeen: false }); return m; };
afterEach(async () => { await mirror?.close(); await fixture.remove?.(); });

it(process.env["T"] ?? "none", async () => {
  const t = process.env["T"];
  box = Array.from({ length: 60 }, (_, i) => ({ uidl: `u${i}`, text: text(i) }));
  if (t === "nouidl") {
    box = [0, 1, 2].map((i) => ({ uidl: i === 1 ? undefined : `u${i}`, text: text(i) }));
    await open();
    console.log("outcome", await mirror.pull(signal), "INBOX", await count(), "of 3");
    console.log("verify", await verifyMaildrop({ store, source, signal, withBytes: true, resync: async () => undefined }));
    const m = await pop3(); console.log("POP3 sees", m.messages.length); m.close();
  }
  if (t === "flicker") {
    box = [0, 1, 2].map((i) => ({ uidl: `u${i}`, text: text(i) }));
    await open(); await mirror.pull(signal);
    const mb = await mirror.mailbox(inbox, signal);
    await mirror.authority.store(mb, mb.state.table.uids, { kind: "add", flags: ["\\Flagged"] });
    const keep = box[1]!; box[1] = { ...keep, uidl: undefined as never };
    await mirror.pull(signal); console.log("with one UIDL line missing once: INBOX", [...mb.state.table.uids]);
    box[1] = keep; await mirror.pull(signal);
    console.log("after:", mb.state.table.uids.map((u) => [u, (mb.state.table.get(u) as any).flags]));
  }
  if (t === "changing") {
    await open(); 
    for (let s = 0; s < 5; s++) { box = box.map((m, i) => ({ ...m, uidl: `s${s}-${i}` })); await mirror.pull(signal); console.log("look", s, "old server", box.length, "INBOX", await count()); }
  }
  if (t === "heldreopen") {
    await open(); await mirror.pull(signal); box = [];
    console.log(await mirror.pull(signal)); console.log("held", await mirror.held.list());
    await reopen();
    console.log("after reopen held", await mirror.held.list(), "problems", mirror.maildrop?.problems(), "refuse ->", await mirror.held.refuse(signal), "INBOX", await count());
  }
  if (t === "accept") {
    // nothing held; accept runs while the server is away; later accident
    await open(); await mirror.pull(signal);
    down = true; await mirror.held.accept(signal).catch((e) => console.log("accept:", e.message)); down = false;
    box = []; console.log(await mirror.pull(signal), "INBOX", await count());
  }
  if (t === "refuse") {
    await open(); await mirror.pull(signal); const all = box; box = [];
    await mirror.pull(signal); console.log("held", await mirror.held.list());
    down = true; await mirror.held.refuse(signal).catch((e) => console.log("refuse:", e.message));
    down = false; box = all; // the admin has mounted the spool again
    await mirror.pull(signal);
    console.log("deleted at the old server:", deleted.length, "left there", box.length, (await mirror.all()).map((m) => [m.state.record.name, m.state.table.uids.length]));
  }
  if (t === "quit") {
    await open(); await mirror.pull(signal); quitFails = true;
    await pop3().then((m) => console.log("ok", m.messages.length), (e) => console.log("POP3 login:", e.message));
    console.log(await mirror.pull(signal)); quitFails = false;
  }
  if (t === "twins") {
    box = [{ uidl: "same", text: text(1) }, { uidl: "same", text: text(1) }];
    await open(); await mirror.pull(signal);
    const mb = await mirror.mailbox(inbox, signal); const first = mb.state.table.uids[0]!;
    lostQuit = true;
    await mirror.authority.store(mb, [first], { kind: "add", flags: ["\\Deleted"] }); await mirror.authority.expunge(mb, [first]);
    await mirror.pull(signal); lostQuit = false; console.log("first run: deleted", deleted.length);
    await mirror.pull(signal); console.log("then: deleted", deleted.length, "INBOX", await count(), "there", box.length);
  }
  if (t === "poison") {
    box = Array.from({ length: 10 }, (_, i) => ({ uidl: `u${i}`, text: text(i), broken: i === 3 }));
    await open();
    for (let i = 0; i < 4; i++) console.log(String(((await mirror.pull(signal)) as any).error), "INBOX", await count());
    box.push({ uidl: "new", text: text("new") }); await mirror.pull(signal); console.log("INBOX", await count());
  }
  if (t === "empty") {
    box = [{ uidl: "a", text: text(1) }, { uidl: "b", text: "" }, { uidl: "c", text: text(3) }];
    await open(); console.log(await mirror.pull(signal), await count()); await reopen(); console.log("reopened", await mirror.pull(signal), await count(), [...(await mirror.mailbox(inbox, signal)).state.table.uids]);
  }
  if (t === "nan") {
    box = [{ uidl: "a", text: text(1), listed: Number("120 octets") }];
    await open(); console.log(await mirror.pull(signal), await count());
    await pop3().then((m) => console.log("ok", m.messages.length), (e) => console.log("POP3 login:", e.constructor.name, e.message));
  }
  if (t === "leak") {
    box = [{ uidl: "a", text: "x".repeat(2 << 20), broken: true }];
    await open();
    for (let i = 0; i < 5; i++) await mirror.pull(signal);
    const find = (d: string): string[] => readdirSync(d, { withFileTypes: true }).flatMap((e) => e.isDirectory() ? find(join(d, e.name)) : [join(d, e.name)]);
    console.log("spools:", find(fixture.directory).filter((f) => f.includes("/tmp/")), "fds:", readdirSync("/proc/self/fd").length);
  }
  if (t === "relayedremoved") {
    box = [0, 1, 2].map((i) => ({ uidl: `u${i}`, text: text(i) }));
    await open(); await mirror.pull(signal);
    const mb = await mirror.mailbox(inbox, signal); down = true; const first = mb.state.table.uids[0]!;
    await mirror.authority.store(mb, [first], { kind: "add", flags: ["\\Deleted"] }); await mirror.authority.expunge(mb, [first]);
    down = false; box.push({ uidl: "new", text: text("new") });
    const m = await pop3(); console.log("POP3 after IMAP deleted u0:", m.messages.map((x) => x.uidl)); m.close();
  }
}, 30_000);
