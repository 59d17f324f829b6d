/**
 * Connections to the legacy server that are cut while an APPEND is on its way, or when its answer is: a user
 * whose mail was refused sends it again, one who was told nothing does not. Every message is there once.
 */
import { expect } from "vitest";
import { startCuttingProxy } from "../helpers/cutting-proxy.ts";
import { startDovecot } from "../helpers/dovecot.ts";
import type { CommandResult } from "../helpers/imap-client.ts";
import { startMailferry } from "../helpers/mailferry.ts";
import { createRandom } from "../helpers/random.ts";
import { takeSnapshot } from "../helpers/snapshot.ts";
import { diffSnapshots } from "../helpers/snapshot-diff.ts";

const user = "alice";

export async function appendAndCut(rounds: number): Promise<void> {
  const seed = Date.now() % 1_000_000;
  console.log(`seed ${seed}`);
  const random = createRandom(seed);
  const legacy = await startDovecot({ users: [user] });
  const proxy = await startCuttingProxy(legacy.ports.imap);
  const mailferry = await startMailferry({
    legacy,
    legacyExtra: { imap: { host: "127.0.0.1", port: proxy.port, tls: "none" } },
  });
  try {
    const outcomes = { OK: 0, NO: 0, BAD: 0, BYE: 0 };
    const accepted: string[] = [];
    for (let round = 0; round < rounds; round++) {
      const subject = `cut ${round}`;
      const message = mail(subject, random.below(3_000));
      const whole = 'M00 APPEND "INBOX" () {1234}\r\n'.length + message.length + 2;
      if (random.chance(0.5)) proxy.cutNext(/ APPEND /, { answerTo: whole - random.below(10) });
      else proxy.cutNext(/ APPEND /, { atByte: 1 + random.below(whole) });
      const client = await mailferry.client(user);
      const told = await client.command("APPEND INBOX ", message).catch(() => undefined);
      outcomes[told?.status ?? "BYE"]++;
      if (told?.status === "OK") accepted.push(subject);
      if (told?.status === "NO" && (await succeeds(() => client.command("APPEND INBOX ", message))))
        accepted.push(subject);
      client.close();
    }
    console.log(JSON.stringify(outcomes));
    const straight = await legacy.client(user);
    await straight.ok("SELECT INBOX");
    const { untagged } = await straight.ok("FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]");
    const subjects = untagged.map((line) => /Subject: (cut \d+)/.exec(line.toString("latin1"))?.[1]);
    expect(subjects.toSorted()).toEqual(accepted.toSorted());
    expect(outcomes.OK).toBeGreaterThan(0);
    expect(outcomes.NO).toBeGreaterThan(0);
    const through = await mailferry.client(user);
    expect(
      diffSnapshots(await takeSnapshot(straight), await takeSnapshot(through), { ignore: ["RECENT"] }),
    ).toEqual([]);
  } finally {
    await mailferry.close();
    await proxy.close();
    await legacy.close();
  }
}

function mail(subject: string, bytes: number): Buffer {
  return Buffer.from(`Subject: ${subject}\r\n\r\n${`${"x".repeat(70)}\r\n`.repeat(Math.ceil(bytes / 72))}`);
}

async function succeeds(work: () => Promise<CommandResult>): Promise<boolean> {
  for (let attempt = 0; attempt < 20; attempt++) if ((await work()).status === "OK") return true;
  return false;
}
