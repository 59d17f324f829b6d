/** What does not agree is named, what is missing is written, and all of it is of one moment. */
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { mailboxId, modSeq, type Uid, type UidValidity, uid, uidl, uidValidity } from "../../src/mail/ids.ts";
import { encodeMailboxName } from "../../src/mail/mailbox-name.ts";
import { type HandoverReport, handOver } from "../../src/migration/handover.ts";
import { formatHandoverScript } from "../../src/migration/handover-script.ts";
import { firstListing } from "../../src/migration/local-names.ts";
import { parseUidlist } from "../../src/store/dovecot-uidlist.ts";
import { type LocalAccount, name, openLocalAccount } from "./local-fixture.ts";

const { signal } = new AbortController();
let account: LocalAccount;

beforeEach(async () => {
  account = await openLocalAccount();
  await account.create("Work");
  for (const text of ["one", "two", "three"])
    await account.append("Work", `Subject: ${text}\r\n\r\n${text}\r\n`, ["\\Seen", "Label"]);
});
afterEach(() => account.remove());

const handedOver = (): Promise<HandoverReport> =>
  handOver({ user: "bob", mirror: account.mirror, uidlFormat: "%08Xu%08Xv", signal });
const fileOf = (number: number): string =>
  account.path(".Work", "cur", account.files(".Work", "cur")[number - 1] ?? "");

describe("what does not agree is named", () => {
  it.each([
    [
      "a file that is too long",
      () => appendFileSync(fileOf(2), "x"),
      /^Work: UID 2: .* has 22 bytes, not 21$/,
    ],
    [
      "another mtime",
      () => utimesSync(fileOf(2), 1, 1),
      /^Work: UID 2: the mtime of .* is 1, its INTERNALDATE/,
    ],
    [
      "a folder without a mailbox",
      () => mkdirSync(account.path(".Other", "cur"), { recursive: true }),
      /^Dovecot would show a mailbox for the folder \.Other/,
    ],
    [
      "an index of an earlier Dovecot",
      () => writeFileSync(account.path(".Work", "dovecot.index.log"), ""),
      /^\.Work\/dovecot\.index\.log is of an earlier Dovecot/,
    ],
    [
      "a UIDL that dovecot-uidlist cannot have",
      () => {
        const message = { mailbox: recordOf("Work").id, uid: uid(2) };
        const entry = { position: 1, uidl: uidl("a b"), sizeBytes: 22, message } as const;
        const rest = { isRemoved: false, problem: undefined, print: undefined };
        account.store.maildrop.change({ removed: [], put: [{ ...entry, ...rest }] });
      },
      /^Work: UID 2: its UIDL "a b" cannot be kept/,
    ],
  ])("%s", async (_, spoil, expected) => {
    await account.mailbox("Work");
    spoil();
    expect((await handedOver()).problems).toContainEqual(expect.stringMatching(expected));
  });

  it("a name that Dovecot would show otherwise", async () => {
    const fields = { name: name("a..b"), separator: ".", attributes: [], subscribed: false, prefix: "" };
    const record = account.store.addMailbox(fields);
    account.store.saveMailbox({ ...record, uidValidity: account.store.nextUidValidity() });
    expect((await handedOver()).problems).toEqual([
      expect.stringMatching(/^a\.\.b: Dovecot would show it as mailferry-[0-9a-f]{32}, after its folder$/),
    ]);
  });

  it("a file that nobody can read", async () => {
    mkdirSync(account.path("new", "1700000000.M1P1.mta"));
    expect((await handedOver()).problems).toEqual([
      "INBOX: new/1700000000.M1P1.mta is no message here: Dovecot would show it",
    ]);
  });
});

const recordOf = (wanted: string) => account.store.mailboxes().find((record) => record.name === wanted)!;

it("writes anew whatever Dovecot reads and is not there", async () => {
  await account.mirror.authority.changeName({ kind: "SUBSCRIBE", name: name("Work") });
  for (const file of [
    "subscriptions",
    "dovecot-uidvalidity",
    ".Work/dovecot-uidlist",
    ".Work/dovecot-keywords",
  ])
    rmSync(account.path(file), { force: true });
  const { problems, mailboxes, messages } = await handedOver();
  expect({ problems, mailboxes, messages }).toEqual({ problems: [], mailboxes: 2, messages: 3 });
  const text = (file: string): string => readFileSync(account.path(file), "latin1");
  expect(text("subscriptions")).toBe("V\t2\n\nWork\n");
  expect(text(".Work/dovecot-keywords")).toBe("0 Label\n");
  expect(text(".Work/dovecot-uidlist").split("\n")).toHaveLength(5);
  const highest = Math.max(...account.store.mailboxes().map((record) => record.uidValidity ?? 0));
  expect(Number.parseInt(text("dovecot-uidvalidity"), 16)).toBeGreaterThanOrEqual(highest);
});

it("fixes the UIDL format that clients of the old server know, though none has come yet", async () => {
  await account.append("INBOX", "Subject: x\r\n\r\n");
  await handOver({ user: "bob", mirror: account.mirror, uidlFormat: "%v-%u", signal });
  expect(readFileSync(account.path("dovecot-uidlist"), "latin1")).toContain(
    `P${recordOf("INBOX").uidValidity}-1 `,
  );
});

it("tells what Dovecot will show otherwise", async () => {
  await account.append("INBOX", "Subject: x\n\nbare line feeds\n");
  const { problems, notes, script } = await handedOver();
  expect(problems).toEqual([]);
  expect(notes).toEqual([
    "INTERNALDATEs are +0000 here; Dovecot shows them all in the time zone of its machine",
    "1 messages have line feeds without carriage returns; Dovecot adds them, to their size, too",
  ]);
  for (const note of notes) expect(script).toContain(`#   ${note}\n`);
});

it("takes in what others have delivered", async () => {
  writeFileSync(account.path("new", "1700000000.M1P1.mta"), "Subject: dropped\r\n\r\nx\r\n");
  const { problems, messages } = await handedOver();
  expect({ problems, messages }).toEqual({ problems: [], messages: 4 });
});

it("takes what others have removed for expunged", async () => {
  await account.mailbox("Work");
  rmSync(fileOf(3));
  const { problems, messages } = await handedOver();
  expect({ problems, messages }).toEqual({ problems: [], messages: 2 });
});

it("is of one moment while messages come, go and move", async () => {
  await account.create("Other");
  let isOver = false;
  const working = [
    (async () => {
      for (let round = 0; !isOver; round++) {
        const [from, to] = round % 2 ? ["Other", "Work"] : ["Work", "Other"];
        const mailbox = await account.mailbox(from);
        await account.mirror.authority.move(mailbox, mailbox.state.table.uids, name(to));
      }
    })(),
    (async () => {
      for (let round = 0; !isOver; round++) {
        const kind = round % 2 ? "UNSUBSCRIBE" : "SUBSCRIBE";
        await account.mirror.authority.changeName({ kind, name: name("Work") });
        const { state } = await account.mailbox("Other");
        const flags = { kind: round % 2 ? "add" : "remove", flags: ["Later"] } as const;
        await account.mirror.authority.store(await account.mailbox("Other"), state.table.uids, flags);
        // No client leaves others no turn.
        await nextTurn();
      }
    })(),
  ];
  for (let round = 0; round < 5; round++) {
    const { problems, messages } = await handedOver();
    expect({ problems, messages }).toEqual({ problems: [], messages: 3 });
  }
  isOver = true;
  await Promise.all(working);
  const { messages } = await handedOver();
  const listed = ["", ".Work", ".Other"].map(
    (folder) =>
      parseUidlist(readFileSync(account.path(folder, "dovecot-uidlist"), "latin1"))?.records.length ?? 0,
  );
  expect(listed.reduce((sum, count) => sum + count)).toBe(messages);
});

it("whatever a name has in it stays one argument for doveadm", () => {
  const folder = mkdtempSync(join(tmpdir(), "mailferry-script-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const doveadm = join(folder, "doveadm");
  writeFileSync(doveadm, `#!/bin/sh\nfor one in "$@"; do printf '%s\\0' "$one"; done\nprintf '\\1'\n`);
  chmodSync(doveadm, 0o755);
  const names = [
    "'; touch pwned; '",
    "$(touch pwned)`touch pwned`",
    "two\nlines",
    "--help",
    'Größe \\ "&" *',
  ];
  const keyword = "it's;$HOME&`x`";
  const mailboxes = names.map((one, index) => ({
    record: {
      id: mailboxId(index),
      name: encodeMailboxName(one),
      separator: ".",
      attributes: ["\\Sent"],
      subscribed: false,
      directory: `.${index}`,
      uidValidity: uidValidity(7) as UidValidity,
      uidNext: uid(10),
      highestModSeq: modSeq(2n ** 62n),
      flags: [],
      permanentFlags: [],
    },
    guid: "0".repeat(32),
    problems: [],
    unknownFiles: [],
    extraKeywords: new Map<string, readonly Uid[]>([[keyword, [uid(1), uid(2), uid(9)]]]),
  }));
  const maildir = { problems: [], mailboxes, hasEscapedNames: true };
  const user = "o'bob\ntouch pwned\n";
  const script = formatHandoverScript({
    user,
    moment: { listing: firstListing, maildir, messages: [], maildrop: [] },
    notes: ["a note\ntouch pwned"],
    uidlFormat: "%u",
  });
  const printed = execFileSync("sh", ["-c", script], {
    cwd: folder,
    env: { ...process.env, DOVEADM: doveadm },
  });
  const called = printed.toString().split("\x01").slice(0, -1);
  const commands = called.map((one) => one.split("\0").slice(0, -1));
  const updates = commands.filter(([command]) => command === "mailbox");
  expect(updates).toEqual(
    names.map((one) => [
      "mailbox",
      "update",
      "-u",
      user,
      "--min-highest-modseq",
      String(2n ** 62n),
      "--",
      one,
    ]),
  );
  const flags = commands.filter(([command]) => command === "flags");
  expect(flags[0]).toEqual([
    "flags",
    "add",
    "-u",
    user,
    "--",
    keyword,
    "mailbox-guid",
    "0".repeat(32),
    "uid",
    "1:2,9",
  ]);
  expect(commands.filter(([command]) => command === "-o").map((one) => one.at(-1))).toEqual(
    names.flatMap((one) => [one, one, one]),
  );
  expect(execFileSync("ls", [folder]).toString()).toBe("doveadm\n");
});
