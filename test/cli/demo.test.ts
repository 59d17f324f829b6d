/** `npm run demo`, as a newcomer tries it: two servers, a login, the pull, Ctrl-C. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { freePort } from "../helpers/free-port.ts";
import { connectImap } from "../helpers/imap-client.ts";
import { repository } from "../helpers/mailferry.ts";
import { atProcessEnd } from "../helpers/process-end.ts";

let folder: string;
let demo: ChildProcess;
let output: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mailferry-test-"));
});
afterEach(async () => {
  demo.kill("SIGKILL");
  await rm(folder, { recursive: true, force: true });
});

async function start(...args: string[]): Promise<number> {
  const port = await freePort();
  output = "";
  demo = spawn(process.execPath, ["src/cli.ts", "demo", "--port", String(port), ...args], {
    cwd: repository,
    env: { ...process.env, TMPDIR: folder },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const cleanup = atProcessEnd(demo.pid ?? 0, [folder]);
  demo.once("exit", () => cleanup.dismiss());
  for (const stream of [demo.stdout, demo.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  await printed(/Ctrl-C ends the demo/);
  return port;
}

const printed = (pattern: RegExp): Promise<void> =>
  expect.poll(() => output, { timeout: 20_000, interval: 20 }).toMatch(pattern);

async function end(signal: NodeJS.Signals): Promise<number | null> {
  const code = new Promise<number | null>((resolve) => demo.once("close", resolve));
  demo.kill(signal);
  return code;
}

it("serves at once, shows the pull, and leaves nothing behind", async () => {
  const port = await start();
  expect(output).toContain(`127.0.0.1 ports ${port} (IMAP)`);
  expect(output).toMatch(/with \d{3} messages of one user/);
  const [, user = "", password = ""] = /User, password: +(\S+), (\S+)/.exec(output) ?? [];
  const client = await connectImap({ port });
  await client.login(user, password);
  const names = (await client.ok('LIST "" *')).untagged.map(String);
  expect(names).toContain('* LIST (\\HasNoChildren) "." "R&AOk-unions"');
  const { untagged } = await client.ok("SELECT INBOX");
  expect(untagged.map(String)).toContain("* 164 EXISTS");
  expect((await client.ok("FETCH 1:* BODY.PEEK[]")).untagged).toHaveLength(164);
  await printed(/alice has logged in; the pull begins\n/);
  await printed(/INBOX +164 of +164 messages are here/);
  await printed(/complete: every message is here/);
  await client.ok("STORE 1 +FLAGS (\\Flagged)");
  expect(await end("SIGINT")).toBe(0);
  await client.closed;
  expect(output).toContain("Ended; nothing is left behind.");
  expect(output).not.toMatch(/"level":|Error/);
  expect(await readdir(folder)).toEqual([]);
});

it("leaves both servers' folders with --keep", async () => {
  await start("--keep");
  expect(await end("SIGTERM")).toBe(0);
  const [kept = ""] = await readdir(folder);
  expect(output).toContain(`everything is still in ${join(folder, kept)}`);
  expect((await readdir(join(folder, kept))).sort()).toEqual([
    "mailferry",
    "mailferry.yaml",
    "old-server",
    "old-server.yaml",
  ]);
});
