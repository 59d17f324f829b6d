/** No password reaches a log line, at any level, whatever way it came in. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { connectImap } from "../helpers/imap-client.ts";
import { type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";

const user = "alice";
const right = 'Right "pass\\word" 7 é';
const wrong = "Wrong-password-8";
const base64 = (text: string): string => Buffer.from(text, "utf8").toString("base64");
const plain = (password: string): string => base64(`\0${user}\0${password}`);

let legacy: Dovecot;
let mailferry: Mailferry;

beforeAll(async () => {
  legacy = await startDovecot({ users: [user], passwordOf: () => right });
  mailferry = await startMailferry({ legacy, extra: { log: { level: "trace", pretty: false } } });
});
afterAll(async () => {
  await mailferry?.close();
  await legacy?.close();
});

async function attempt(...pieces: (string | Buffer)[]): Promise<string> {
  const client = await connectImap({ port: mailferry.port("imap") });
  const { status } = await client.command(...pieces);
  client.close();
  return status;
}

it("no password is in the log or on disk", async () => {
  expect(await attempt("LOGIN alice ", Buffer.from(right))).toBe("OK");
  expect(await attempt(`AUTHENTICATE PLAIN ${plain(right)}`)).toBe("OK");
  expect(await attempt(`LOGIN alice ${wrong}`)).toBe("NO");
  expect(await attempt(`AUTHENTICATE PLAIN ${plain(wrong)}`)).toBe("NO");
  // Clients that lost their place: a password where a command should be.
  expect(await attempt(wrong)).toBe("BAD");
  expect(await attempt(`LOGIN alice ${wrong} ${wrong}`)).toBe("BAD");
  const passwordFile = join(mailferry.dataDir, "password-file");
  await writeFile(passwordFile, `${right}\nsecond line`);
  const args = ["-c", mailferry.configFile, user, "--password-file", passwordFile];
  expect(await runCli(["migrate", ...args])).toMatchObject({ code: 0 });
  await writeFile(passwordFile, wrong);
  const refused = await runCli(["migrate", ...args]);
  expect(refused).toMatchObject({ code: 1 });
  await writeFile(passwordFile, "");
  await mailferry.stop();

  const log = await mailferry.log();
  expect(log).toContain("imap command");
  const files = await readdir(mailferry.dataDir, { recursive: true, withFileTypes: true });
  const kept = files.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const contents = await Promise.all(kept.map((file) => readFile(file, "latin1")));
  const secrets = [right, wrong, base64(right), base64(wrong), plain(right), plain(wrong)];
  for (const secret of [
    ...secrets,
    Buffer.from(right, "utf8").toString("latin1"),
    JSON.stringify(right).slice(1, -1),
  ]) {
    expect(log.includes(secret), "in the log").toBe(false);
    expect(refused.stderr.includes(secret), "in what migrate printed").toBe(false);
    expect(
      contents.some((content) => content.includes(secret)),
      "on disk",
    ).toBe(false);
  }
});
