/** Noise to whole POP3 sessions, in front of an account in memory. */
import { once } from "node:events";
import { connect } from "node:net";
import { expect } from "vitest";
import { createRandom, type Random } from "../helpers/random.ts";
import { serveMaildrop } from "./served-maildrop.ts";

const validCommands = [
  ..."CAPA,STAT,LIST,LIST 1,UIDL,UIDL 2,RETR 1,RETR 3,TOP 1 0,TOP 2 5,DELE 2,RSET,NOOP".split(","),
  ..."USER alice,PASS secret,AUTH,AUTH LOGIN =,STLS,LANG,UTF8,APOP alice c4c9334bac".split(","),
  "AUTH PLAIN AGFsaWNlAHNlY3JldA==",
];
const special = [
  ..." \t\0\r.*-+=\x7f\xff",
  ..."0,-1,4,1e0,0x1,01,4294967297,99999999999999999999,__proto__,constructor".split(","),
];

function noisyLine(random: Random): string {
  let text = random.pick(validCommands);
  for (let changes = random.below(4); changes > 0; changes--) {
    const from = random.below(text.length + 1);
    const to = Math.min(text.length, from + random.below(6));
    text = random.pick([
      () => text.slice(0, from) + text.slice(to),
      () => text.slice(0, from) + random.pick(special) + text.slice(to),
      () => text.slice(0, from) + text.slice(from, to).repeat(random.below(40)) + text.slice(to),
      () => `${text} ${random.pick(validCommands)}`,
      () => text.slice(0, from) + String.fromCharCode(random.below(256)) + text.slice(from),
      () => text.toLowerCase(),
      () => (random.chance(0.02) ? text + "x".repeat(random.below(30_000)) : text),
    ])();
  }
  return text + random.pick(["\r\n", "\r\n", "\r\n", "\n"]);
}

/** A login, noise, and a QUIT that removes nothing. Some are sent away before, for twenty bad commands in a row. */
function sessionBytes(random: Random, lines: number): Buffer {
  const noise = Array.from(
    { length: lines },
    () => noisyLine(random) + (random.chance(0.5) ? "NOOP\r\n" : ""),
  );
  // A SASL dialogue that is open takes one line, and what is marked stays.
  const end = "*\r\nRSET\r\nQUIT\r\n";
  return Buffer.from(`USER alice\r\nPASS secret\r\n${noise.join("")}${end}`, "latin1");
}

/**
 * Sessions of noise: each ends as the protocol says, gives the maildrop back and removes nothing, and no fault of ours
 * is logged. `cuts`: each is sent again in small packets, and answered alike.
 */
export async function fuzzSessions(
  seed: number,
  sessions: number,
  lines: number,
  cuts: boolean,
): Promise<void> {
  const random = createRandom(seed);
  const { account, server, port, faults } = await serveMaildrop({ loginFailureDelayMs: 0 });
  const inbox = account.mailbox("INBOX");
  inbox.writable = true;
  try {
    for (let count = 0; count < sessions; count++) {
      const bytes = sessionBytes(random, lines);
      const sent = JSON.stringify(bytes.toString("latin1"));
      const answers = await answersTo(port, bytes, () => bytes.length);
      expect(answers, sent).toMatch(/^\+OK mail\.example\.com/);
      expect(answers, sent).toMatch(/(?:\+OK Logging out\.|-ERR [^\r\n]*)\r\n$/);
      if (cuts) expect(await answersTo(port, bytes, () => 1 + random.below(9)), sent).toBe(answers);
      expect(faults, sent).toEqual([]);
      expect(inbox.messages, sent).toHaveLength(3);
    }
  } finally {
    await server.close();
  }
  expect(account.openSessions()).toBe(0);
}

/** All that comes back until the server closes. */
async function answersTo(port: number, bytes: Buffer, size: () => number): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  const received: Buffer[] = [];
  socket.on("data", (chunk) => received.push(chunk)).on("error", () => {});
  const closed = once(socket, "close");
  for (let at = 0; at < bytes.length && !socket.destroyed; ) {
    const end = at + size();
    const packet = bytes.subarray(at, end);
    await new Promise<void>((resolve) => socket.write(packet, () => resolve()));
    at = end;
  }
  await closed;
  return Buffer.concat(received).toString("latin1");
}
