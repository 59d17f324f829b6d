/** Noise to whole sessions in front of an account in memory. */
import { once } from "node:events";
import { connect } from "node:net";
import { expect } from "vitest";
import { noisyCommand } from "../helpers/command-noise.ts";
import type { Random } from "../helpers/random.ts";
import { serveAccount } from "./served-account.ts";

/** Sends bytes, in packets of these sizes, and gives all that comes back until the server closes. */
async function answersTo(port: number, bytes: Buffer, sizes: () => number): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  const received: Buffer[] = [];
  socket.on("data", (chunk) => received.push(chunk)).on("error", () => {});
  await once(socket, "connect");
  const closed = new Promise((resolve) => socket.once("close", resolve));
  for (let at = 0; at < bytes.length && !socket.destroyed; ) {
    const size = sizes();
    const packet = bytes.subarray(at, at + size);
    at += size;
    await new Promise<void>((resolve) => socket.write(packet, () => resolve()));
  }
  socket.end();
  await closed;
  return Buffer.concat(received).toString("latin1");
}

/** More than any literal that noise announces, so that the LOGOUT is a command. */
const filler = "f NOOP\r\n".repeat(13_000);

/** A login, noise, and a LOGOUT. */
function session(random: Random, commands: number, end: string): Buffer {
  const noise = Array.from({ length: commands }, () => noisyCommand(random));
  const select = Buffer.from("x LOGIN alice secret\r\ny SELECT INBOX\r\n");
  return Buffer.concat([select, ...noise, Buffer.from(`\r\nDONE\r\n${end}z LOGOUT\r\n`)]);
}

export const atOnce = () => 1 << 20;

/** Every command of a session is answered, nothing is a fault of ours, and nothing is held afterwards. */
export async function fuzzSession(random: Random, commands: number): Promise<void> {
  const served = await serveAccount();
  try {
    served.inbox.writable = true;
    const bytes = session(random, commands, filler);
    const answers = await answersTo(served.port, bytes, atOnce);
    const sent = JSON.stringify(bytes.subarray(0, -filler.length).toString("latin1"));
    expect(answers, sent).not.toContain("SERVERBUG");
    // Literals longer than the filler take the LOGOUT along.
    const announced = [...sent.matchAll(/\{(\d+)\+\}/g)].reduce((sum, [, size]) => sum + Number(size), 0);
    if (announced < filler.length) expect(answers, sent).toMatch(/^(?:z OK|\* BYE) /m);
    await served.close();
    expect(served.account.openSessions()).toBe(0);
  } finally {
    await served.close();
  }
}

/** However the bytes of a session are cut, they are answered alike. */
export async function fuzzCuts(random: Random, commands: number): Promise<void> {
  const bytes = session(random, commands, "");
  const answers: string[] = [];
  for (const sizes of [atOnce, () => 1 + random.below(40), () => 1 + random.below(3)]) {
    const served = await serveAccount();
    answers.push(await answersTo(served.port, bytes, sizes).finally(() => served.close()));
  }
  expect(answers[1]).toBe(answers[0]);
  expect(answers[2]).toBe(answers[0]);
}
