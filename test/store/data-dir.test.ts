import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { accountDirectory, lockDataDir } from "../../src/store/data-dir.ts";

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "mailferry-lock-"));
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

describe("the lock of a data folder", () => {
  it("is held by one at a time", () => {
    const first = lockDataDir(dataDir);
    expect(first).toBeDefined();
    expect(lockDataDir(dataDir)).toBeUndefined();
    first!.release();
    const second = lockDataDir(dataDir);
    expect(second).toBeDefined();
    second!.release();
  });

  it("dies with its process", async () => {
    const code = `
      const { lockDataDir } = await import(process.argv[1]);
      if (!lockDataDir(process.argv[2])) process.exit(1);
      console.log("locked");
      setInterval(() => undefined, 1000);`;
    const module = join(import.meta.dirname, "../../src/store/data-dir.ts");
    const holder = spawn(process.execPath, ["--input-type=module", "-e", code, module, dataDir]);
    await once(holder.stdout, "data");
    expect(lockDataDir(dataDir)).toBeUndefined();
    holder.kill("SIGKILL");
    await once(holder, "exit");
    const lock = lockDataDir(dataDir);
    expect(lock).toBeDefined();
    lock!.release();
  });
});

describe("the folder of an account", () => {
  const folderOf = (local: string, domain = ""): string =>
    accountDirectory("/d", { local, domain }).replace("/d/mail/", "");

  it.each([
    ["alice", "example.com", "example.com/alice"],
    ["alice", "", "_/alice"],
    ["alice", "_", "%5f/alice"],
    ["..", "", "_/%2e."],
    [".", "", "_/%2e"],
    ["a/../../b", "", "_/a%2f..%2f..%2fb"],
    ["a%2fb", "", "_/a%252fb"],
    ["müller", "", "_/m%c3%bcller"],
    ["a\\b c", "", "_/a%5cb%20c"],
  ])("of %j at %j is %s", (local, domain, expected) => {
    expect(folderOf(local, domain)).toBe(expected);
  });

  it("never is longer than a file system allows, and stays one account's own", () => {
    const one = folderOf("ü".repeat(300));
    const other = folderOf(`${"ü".repeat(299)}x`);
    expect(one.length).toBeLessThan(255);
    expect(one).not.toBe(other);
  });
});
