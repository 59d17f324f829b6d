import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { playTranscript } from "../helpers/transcript.ts";
import { type Served, serveAccount, subscribe } from "./served-account.ts";

const folder = join(import.meta.dirname, "../transcripts");

let served: Served;

beforeEach(async () => {
  served = await serveAccount();
  subscribe(served.account, "INBOX", "Gone/below");
});

afterEach(() => served.close());

function act(words: readonly string[]): void {
  const [action, name = "", ...rest] = words;
  const mailbox = served.account.mailbox(name);
  if (action === "deliver") mailbox.deliver({ text: `Subject: ${rest.join(" ")}\r\n\r\ntext\r\n` });
  else if (action === "expunge") mailbox.expunge(...rest.map(Number));
  else if (action === "flag") mailbox.setFlags(Number(rest[0]), rest.slice(1));
  else if (action === "writable") mailbox.writable = true;
  else if (action === "gone") mailbox.emit({ kind: "gone", reason: "Mailbox was deleted" });
  else throw new Error(`unknown action ${action}`);
}

describe.each(readdirSync(folder).filter((name) => name.endsWith(".txt")))("transcript %s", (name) => {
  it("plays line by line", async () => {
    await playTranscript(join(folder, name), { port: served.port, byteByByte: false, act });
    await served.close();
    expect(served.account.openSessions()).toBe(0);
    expect(served.inbox.openCount).toBe(0);
  });

  it("plays byte by byte", async () => {
    await playTranscript(join(folder, name), { port: served.port, byteByByte: true, act });
  });
});
