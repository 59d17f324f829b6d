/**
 * A client that keeps account of what it was told: what was answered with OK must be there at the end, once; what was
 * refused must not be; of what was never answered either may be true.
 */
import { expect } from "vitest";
import type { ImapClient } from "./imap-client.ts";
import { fetchItems, textOf } from "./imap-values.ts";
import type { Random } from "./random.ts";

export const workMailboxes = ["INBOX", "Folder 1", "Folder 2"] as const;

/** What may be true of one message: how many of it there are, and its flags where they are certain. */
interface Known {
  least: number;
  most: number;
  flags: ReadonlySet<string> | undefined;
}

export interface Worker {
  readonly model: ReadonlyMap<string, Known>;
  readonly said: Readonly<Record<string, number>>;
}

class Lost extends Error {}

export interface WorkOptions {
  readonly connect: () => Promise<ImapClient>;
  readonly random: Random;
  /** Its messages' subjects begin so. */
  readonly name: string;
  readonly goesOn: () => boolean;
}

export async function work({ connect, random, name, goesOn }: WorkOptions): Promise<Worker> {
  const model = new Map<string, Known>();
  const said: Record<string, number> = { OK: 0, NO: 0, lost: 0 };
  let client: ImapClient | undefined;
  let next = 0;
  const run = async (...pieces: (string | Buffer)[]) => {
    if (!client) throw new Lost();
    const result = await client.command(...pieces).catch((cause: unknown) => {
      throw new Lost("no answer", { cause });
    });
    said[result.status] = (said[result.status] ?? 0) + 1;
    expect(result.status, result.tagged.toString("latin1")).not.toBe("BAD");
    return result;
  };
  const uidsOf = async (id: string): Promise<string[]> => {
    const { status, untagged } = await run(`UID SEARCH HEADER Subject ${id}`);
    const line = untagged.map(String).find((text) => text.startsWith("* SEARCH")) ?? "";
    return status === "OK" ? line.split(" ").slice(2) : [];
  };
  const step = async (): Promise<void> => {
    const box = random.pick(workMailboxes);
    if ((await run(`SELECT "${box}"`)).status !== "OK") return;
    const ids = [...model.keys()];
    const id = random.pick(ids);
    const choice = random.below(8);
    if (choice < 3 || id === undefined) return append(box);
    const known = model.get(id);
    const [uid] = await uidsOf(id);
    if (uid === undefined || !known) return;
    if (choice === 3) await run(`UID FETCH ${uid} (FLAGS BODY.PEEK[])`);
    if (choice === 4 || choice === 5)
      await flag(uid, known, random.pick(["\\Flagged", "\\Answered", "Work"]));
    if (choice === 6) await remove(uid, known);
    if (choice === 7) await move(uid, known, random.pick(workMailboxes));
  };
  const append = async (box: string): Promise<void> => {
    const id = `${name}n${next++}x`;
    const known: Known = { least: 0, most: 1, flags: undefined };
    model.set(id, known);
    const text = `From: ${name}@example.org\r\nSubject: ${id}\r\n\r\n${random.words(30)}\r\n`;
    const { status } = await run(`APPEND "${box}" (\\Seen) `, Buffer.from(text));
    known.least = known.most = status === "OK" ? 1 : 0;
    known.flags = new Set(["\\Seen"]);
  };
  const flag = async (uid: string, known: Known, flagName: string): Promise<void> => {
    const before = known.flags;
    known.flags = undefined;
    const { status } = await run(`UID STORE ${uid} +FLAGS (${flagName})`);
    known.flags = before && (status === "OK" ? new Set([...before, flagName]) : before);
  };
  const remove = async (uid: string, known: Known): Promise<void> => {
    known.flags = undefined;
    known.least = Math.max(0, known.least - 1);
    if ((await run(`UID STORE ${uid} +FLAGS.SILENT (\\Deleted)`)).status !== "OK") return;
    if ((await run(`UID EXPUNGE ${uid}`)).status === "OK") known.most--;
  };
  const move = async (uid: string, known: Known, to: string): Promise<void> => {
    const { status } = await run(`UID MOVE ${uid} "${to}"`);
    if (status !== "OK") known.flags = known.flags && undefined;
  };
  while (goesOn()) {
    try {
      client ??= await connect();
      await step();
    } catch (error) {
      if (!(error instanceof Lost) && client) throw error;
      said["lost"] = (said["lost"] ?? 0) + 1;
      client?.close();
      client = undefined;
    }
  }
  client?.close();
  return { model, said };
}

export type Contents = ReadonlyMap<string, readonly ReadonlySet<string>[]>;

/** The flags of each message, by its subject. */
export async function contentsOf(client: ImapClient): Promise<Contents> {
  const found = new Map<string, ReadonlySet<string>[]>();
  for (const box of workMailboxes) {
    await client.ok(`EXAMINE "${box}"`);
    const { untagged } = await client.command("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
    for (const response of untagged) {
      const items = fetchItems(response);
      if (!items) continue;
      const header = [...items].find(([item]) => item.startsWith("BODY"))?.[1];
      const subject = /Subject: (\S+)/.exec(textOf(header))?.[1] ?? "";
      const flags = /FLAGS \(([^)]*)\)/.exec(response.toString("latin1"))?.[1]?.split(" ") ?? [];
      found.set(subject, [
        ...(found.get(subject) ?? []),
        new Set(flags.filter((one) => one !== "\\Recent" && one !== "")),
      ]);
    }
  }
  // Expunges nothing after EXAMINE; and a server's STATUS of what is selected may be old.
  await client.ok("CLOSE");
  return found;
}

export function expectModel(model: ReadonlyMap<string, Known>, contents: Contents): void {
  for (const [id, { least, most, flags }] of model) {
    const found = contents.get(id) ?? [];
    expect(found.length, `${id} is there ${found.length} times`).toBeGreaterThanOrEqual(least);
    expect(found.length, `${id} is there ${found.length} times`).toBeLessThanOrEqual(most);
    if (flags && found.length === 1) expect(found[0], `flags of ${id}`).toEqual(flags);
  }
}
