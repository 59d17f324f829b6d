/** Noise to whole sessions: every command is answered, nothing is a fault of ours, and packets do not matter. */
import { once } from "node:events";
import { connect } from "node:net";
import { describe, expect, it } from "vitest";
import { noisyCommand } from "../helpers/command-noise.ts";
import { createRandom, type Random } from "../helpers/random.ts";
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

const atOnce = () => 1 << 20;

describe("a session of noise", () => {
  const random = createRandom(7_301);

  it.each(Array.from({ length: 25 }, (_, index) => index))(
    "is answered without a fault of ours (%i)",
    async () => {
      const served = await serveAccount();
      try {
        served.inbox.writable = true;
        const answers = await answersTo(served.port, session(random, 40, filler), atOnce);
        expect(answers).not.toContain("SERVERBUG");
        expect(answers).toMatch(/^(?:z OK|\* BYE) /m);
        await served.close();
        expect(served.account.openSessions()).toBe(0);
      } finally {
        await served.close();
      }
    },
  );

  it.each(Array.from({ length: 15 }, (_, index) => index))(
    "is answered alike however it is cut (%i)",
    async () => {
      const bytes = session(random, 15, "");
      const answers: string[] = [];
      const cuts = [atOnce, () => 1 + random.below(40), () => 1 + random.below(3)];
      for (const sizes of cuts) {
        const served = await serveAccount();
        answers.push(await answersTo(served.port, bytes, sizes).finally(() => served.close()));
      }
      expect(answers[1]).toBe(answers[0]);
      expect(answers[2]).toBe(answers[0]);
    },
  );
});
