/** The command line as an operator uses it, with and without a running server. */
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import { type CliResult, type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";

const users = ["alice", "bob"];
let legacy: Dovecot;
let mailferry: Mailferry;

const run = (command: string, ...args: string[]): Promise<CliResult> =>
  runCli([command, "-c", mailferry.configFile, ...args]);

async function passwordFile(user: string, password = legacy.passwordOf(user)): Promise<string> {
  const file = join(mailferry.dataDir, `${user}.pw`);
  await writeFile(file, `${password}\r\nnot this line`);
  return file;
}

beforeAll(async () => {
  legacy = await startDovecot({ users, started: false });
  for (const user of users) {
    await fillAccount(legacy, user, plainAccount({ seed: 5, messages: 300, sizeBytes: 2_000, mailboxes: 3 }));
  }
  await legacy.start();
  mailferry = await startMailferry({ legacy });
});
afterAll(async () => {
  await mailferry?.close();
  await legacy?.close();
});

it("ends quietly when nobody reads on", async () => {
  const cli = join(import.meta.dirname, "../../src/cli.ts");
  const { stderr } = await promisify(execFile)("sh", [
    "-c",
    `'${process.execPath}' '${cli}' cutover --help | true`,
  ]);
  expect(stderr).toBe("");
});

describe("usage", () => {
  it.each([
    [["--help"]],
    [["serve", "--help"]],
    [["demo", "--help"]],
    [["account", "create", "--help"]],
    [["migrate", "--help"]],
    [["verify", "--help"]],
    [["handover", "--help"]],
    [["status", "--help"]],
  ])("%j prints help with examples", async (args) => {
    const result = await runCli(args);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(result.stdout).toContain("Examples:");
  });

  it.each([
    [[]],
    [["serve"]],
    [["migrate", "-c", "x.yaml"]],
    [["nonsense"]],
    [["status", "-c", "/nonexistent.yaml"]],
  ])("%j is wrong usage: exit code 2 and a message", async (args) => {
    const result = await runCli(args);
    expect(result.code).toBe(2);
    expect(result.stderr).not.toBe("");
  });

  it("a wrong configuration is exit code 2, naming the key", async () => {
    const file = join(mailferry.dataDir, "wrong.yaml");
    await writeFile(file, "dataDir: x\nhostname: y\nlisten: []\nlegacy: []\nfoo: 1\n");
    const result = await runCli(["serve", "-c", file]);
    expect(result.code).toBe(2);
    expect(result.stderr).toContain("foo: unknown key");
    expect(result.stderr).toContain("listen: expected at least one listener");
  });

  it.each([
    ["is not there", "missing.pem", "tls.cert: "],
    ["is none", "wrong.yaml", "tls: not a certificate"],
  ])("a certificate that %s is exit code 2, and nothing is left running", async (_, cert, message) => {
    const file = join(mailferry.dataDir, "wrong.yaml");
    const listener = "{ protocol: imap, address: 127.0.0.1, port: 0, tls: implicit }";
    const dataDir = join(mailferry.dataDir, "other");
    const tls = `{ cert: ${cert}, key: wrong.yaml }`;
    await writeFile(
      file,
      `dataDir: ${dataDir}\nhostname: y\nlisten: [${listener}]\ntls: ${tls}\nlegacy: []\n`,
    );
    const result = await runCli(["serve", "-c", file]);
    expect(result.code).toBe(2);
    expect(result.stderr).toContain(message);
  });
});

describe("with a running server", () => {
  it("a second serve on the data folder refuses to start", async () => {
    const result = await run("serve");
    expect(result.code).toBe(1);
    expect(result.stderr).toContain("in use by another process");
  });

  it("migrate without a password needs one that the server has", async () => {
    const refused = await run("migrate", "bob");
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("password");
  });

  it("migrate refuses a wrong password as the legacy server does", async () => {
    const refused = await run("migrate", "alice", "--password-file", await passwordFile("alice", "wrong"));
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/authentication failed/i);
  });

  it("migrate pulls the account and reports in JSON", async () => {
    const migrated = await run("migrate", "alice", "--json", "--password-file", await passwordFile("alice"));
    expect(migrated, migrated.stderr).toMatchObject({ code: 0 });
    const lines = migrated.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.at(-1)).toMatchObject({
      event: "result",
      user: "alice",
      complete: true,
      mailboxes: 3,
      messages: 300,
      messagesHere: 300,
    });
  });

  it("migrate again has nothing to do and still says so", async () => {
    const migrated = await run("migrate", "alice");
    expect(migrated, migrated.stderr).toMatchObject({ code: 0 });
    expect(migrated.stdout).toContain("alice: complete: 300 of 300 messages");
  });

  it("status shows the account", async () => {
    const all = await run("status");
    expect(all.stdout).toMatch(/alice +complete/);
    const one = await run("status", "alice", "--json");
    expect(JSON.parse(one.stdout)).toMatchObject({
      user: "alice",
      stage: "complete",
      messages: 300,
      messagesHere: 300,
      perMailbox: expect.arrayContaining([
        expect.objectContaining({ name: "INBOX", messages: 100, messagesHere: 100 }),
      ]),
    });
    expect(await run("status", "nobody")).toMatchObject({ code: 1 });
  });

  it("verify prints a table, and fails when a byte differs", async () => {
    const equal = await run("verify", "alice");
    expect(equal, equal.stdout).toMatchObject({ code: 0 });
    expect(equal.stdout).toMatch(/INBOX +100 +100/);
    const { readdir, appendFile } = await import("node:fs/promises");
    const cur = join(mailferry.dataDir, "mail", "_", "alice", "Maildir", "cur");
    const file = (await readdir(cur)).sort()[5]!;
    await appendFile(join(cur, file), "x");
    const different = await run("verify", "alice", "--json");
    expect(different, different.stderr).toMatchObject({ code: 1, stderr: "" });
    const verdict = JSON.parse(different.stdout);
    expect(verdict.equal).toBe(false);
    expect(
      verdict.mailboxes.flatMap((mailbox: { differences: unknown[] }) => mailbox.differences),
    ).toHaveLength(1);
    // It was told, and fetched anew.
    expect(await run("verify", "alice")).toMatchObject({ code: 0 });
  });

  it("SIGTERM says BYE to clients and ends with 0", async () => {
    const client = await mailferry.client("alice");
    await client.ok("SELECT INBOX");
    const ended = client.command("NOOP").catch((error: Error) => error);
    expect(await mailferry.stop()).toBe(0);
    await ended;
    await expect(client.command("NOOP")).rejects.toThrow();
  });
});

describe("without a running server", () => {
  it("migrate, verify and status open the account themselves", async () => {
    const file = await passwordFile("bob");
    const migrated = await run("migrate", "bob", "--password-file", file);
    expect(migrated, migrated.stderr).toMatchObject({ code: 0 });
    expect(migrated.stdout).toContain("bob: complete: 300 of 300 messages");
    expect(await run("verify", "bob", "--password-file", file)).toMatchObject({ code: 0 });
    const shown = await run("status", "bob", "--json");
    expect(JSON.parse(shown.stdout)).toMatchObject({ user: "bob", stage: "complete", messagesHere: 300 });
  });

  it("the legacy server being away is exit code 1 with a reason", async () => {
    await legacy.stop("at once");
    const failed = await run("migrate", "bob", "--password-file", await passwordFile("bob"));
    expect(failed.code).toBe(1);
    expect(failed.stderr).not.toBe("");
    await legacy.start();
  });
});
