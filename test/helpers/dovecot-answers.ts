/** What a real Dovecot says of messages: bytes, ENVELOPE, BODY, BODYSTRUCTURE and body sections. */
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { imapOverStdio } from "./dovecot-stdio.ts";
import { fetchItems } from "./imap-values.ts";

export interface DovecotAnswer {
  /** BODY[]: what a client, or a migration, gets to see of the file. */
  readonly bytes: Buffer;
  /** Values in wire form. */
  readonly envelope: string;
  readonly body: string;
  readonly bodyStructure: string;
}

export interface DovecotMime {
  readonly answers: readonly DovecotAnswer[];
  /** The bytes of each section (`1.2.MIME`) of the message with this index. */
  sections(index: number, names: readonly string[]): Promise<ReadonlyMap<string, Buffer>>;
  close(): Promise<void>;
}

/** Stores each message as a Maildir file, byte for byte, and asks for all of them. */
export async function askDovecot(messages: readonly Buffer[]): Promise<DovecotMime> {
  const root = await mkdtemp(join(tmpdir(), "dovecot-mime-"));
  await fillMaildir(root, messages);
  // Without index files nothing is answered from a cache, which knows less than the message.
  const client = await imapOverStdio(root, { extraConfig: `mail_location = maildir:${root}:INDEX=MEMORY` });
  await client.ok("SELECT INBOX");
  const wireValues = async (item: string): Promise<string[]> => {
    const { untagged } = await client.ok(`FETCH 1:* (${item})`);
    return untagged.filter(isFetch).map((response) => wireValue(response, item));
  };
  const bytes = messages.length === 0 ? [] : (await client.ok("FETCH 1:* (BODY.PEEK[])")).untagged;
  const whole = bytes.filter(isFetch).map((response) => stringItem(response, "BODY[]"));
  const [envelopes, bodies, structures] = [
    await wireValues("ENVELOPE"),
    await wireValues("BODY"),
    await wireValues("BODYSTRUCTURE"),
  ];
  return {
    answers: whole.map((message, index) => ({
      bytes: message,
      envelope: envelopes[index] ?? "",
      body: bodies[index] ?? "",
      bodyStructure: structures[index] ?? "",
    })),
    async sections(index, names) {
      const items = names.map((name) => `BODY.PEEK[${name}]`).join(" ");
      const { untagged } = await client.ok(`FETCH ${index + 1} (${items})`);
      const response = untagged.filter(isFetch)[0] ?? Buffer.alloc(0);
      return new Map(names.map((name) => [name, stringItem(response, `BODY[${name.toUpperCase()}]`)]));
    },
    async close() {
      client.close();
      await rm(root, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

async function fillMaildir(root: string, messages: readonly Buffer[]): Promise<void> {
  const folders = ["cur", "new", "tmp"].map((name) => join(root, name));
  for (const folder of folders) await mkdir(folder);
  await chmod(root, 0o755);
  for (const [index, message] of messages.entries()) {
    await writeFile(join(root, "cur", `${1_000_000 + index}.M1P1.test:2,S`), message, { mode: 0o644 });
  }
  // Started by root, Dovecot runs as nobody and writes its own files here.
  if (process.getuid?.() === 0) for (const folder of [root, ...folders]) await chown(folder, 65534, 65534);
}

function isFetch(response: Buffer): boolean {
  return /^\* \d+ FETCH /.test(response.toString("latin1", 0, 30));
}

/** `* 1 FETCH (ENVELOPE …)` gives `…`. */
function wireValue(response: Buffer, item: string): string {
  const start = response.indexOf(`(${item} `) + item.length + 2;
  return response.toString("latin1", start, response.length - 1);
}

function stringItem(response: Buffer, name: string): Buffer {
  const value = fetchItems(response)?.get(name);
  if (value?.kind !== "string") throw new Error(`no ${name} in ${response.toString("latin1", 0, 200)}`);
  return value.bytes;
}
