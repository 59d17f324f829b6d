import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { silentLogger } from "../../src/log.ts";
import { type SyncHelper, startSyncHelper } from "../../src/store/sync-helper.ts";
import { createFakeSync, type FakeSync, isAlive } from "../helpers/fake-sync.ts";
import { repository } from "../helpers/mailferry.ts";
import { waitUntil } from "../helpers/wait-until.ts";

let base: string;
let helper: SyncHelper | undefined;
let fake: FakeSync | undefined;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "sync-helper-"));
});
afterEach(async () => {
  await helper?.close();
  fake?.remove();
  [helper, fake] = [undefined, undefined];
  rmSync(base, { recursive: true, force: true });
});

function started(path?: string): SyncHelper {
  helper = startSyncHelper({ logger: silentLogger, path });
  return helper!;
}

function startedWithFake(): { readonly helper: SyncHelper; readonly fake: FakeSync } {
  fake = createFakeSync();
  return { helper: started(fake.path), fake };
}

const oddNames = (folder: string): readonly string[] => [
  "with space",
  "  spaces around  ",
  `it's "quoted"`,
  `$(touch ${folder}/run)`,
  `\`touch ${folder}/run\``,
  `; touch ${folder}/run;`,
  "-leading-dash",
  "--help",
  "back\\slash\\n",
  "*?[a]~",
  "tab\tand\rreturn",
  "Ünïcödé \u{1f4ec}",
  "\x01\x7f\x1b[31m",
];

describe("the sync helper", () => {
  it("flushes folders whatever their names are, and runs nothing of them", async () => {
    const { sync } = started();
    for (const name of oddNames(base)) {
      const directory = join(base, name);
      mkdirSync(directory, { recursive: true });
      await sync(directory);
    }
    expect(existsSync(join(base, "run"))).toBe(false);
  });

  it("gives the name as it is", async () => {
    const { helper, fake } = startedWithFake();
    // A tab is what the stand-in tells arguments apart by.
    for (const name of oddNames(base).filter((one) => !one.includes("\t"))) {
      const done = helper.sync(join(base, name));
      expect((await fake.began()).args).toEqual(["-f", "--", join(base, name)]);
      fake.end();
      await done;
    }
  });

  it("refuses what it cannot be told, and a folder that is not there, and goes on", async () => {
    const { sync } = started();
    await expect(sync(join(base, "a\nb"))).rejects.toThrow("line feed");
    await expect(sync(join(base, "missing"))).rejects.toThrow("sync -f has ended with 1");
    await sync(base);
  });

  it("answers each in its turn", async () => {
    const { helper, fake } = startedWithFake();
    const [first, second] = [helper.sync("/first"), helper.sync("/second")];
    expect((await fake.began()).args.at(-1)).toBe("/first");
    fake.end(3);
    await expect(first).rejects.toThrow("ended with 3");
    expect((await fake.began()).args.at(-1)).toBe("/second");
    fake.end(0);
    await second;
  });

  it("refuses when it was killed, what it was asked and what it is asked then", async () => {
    const { helper, fake } = startedWithFake();
    const asked = helper.sync(base);
    fake.killParent();
    await expect(asked).rejects.toThrow("SIGKILL");
    await expect(helper.sync(base)).rejects.toThrow("SIGKILL");
  });

  it("refuses where there is no sync", async () => {
    const { sync } = started(base);
    await expect(sync(base)).rejects.toThrow("ended with 127");
  });

  it("has ended when it is closed, after what is under way", async () => {
    const { helper, fake } = startedWithFake();
    const asked = helper.sync(base);
    const { parent } = await fake.began();
    const closed = helper.close();
    await expect(helper.sync(base)).rejects.toThrow("closed");
    expect(isAlive(parent)).toBe(true);
    fake.end();
    await asked;
    await closed;
    expect(isAlive(parent)).toBe(false);
  });

  it("is not ended by the signals that a terminal or a service sends to all processes", async () => {
    const { helper, fake } = startedWithFake();
    const asked = helper.sync(base);
    const { parent } = await fake.began();
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.kill(-parent, signal);
    fake.end();
    await asked;
    const again = helper.sync(base);
    fake.end();
    await again;
  });

  describe("of a process that does not close it", () => {
    /** Flushes, says the helper's pid, and does then what `last` does. */
    const startProcess = (last: string) => {
      const code = `
        import { readFileSync } from "node:fs";
        const { startSyncHelper } = await import("${repository}src/store/sync-helper.ts");
        const { silentLogger } = await import("${repository}src/log.ts");
        const helper = startSyncHelper({ logger: silentLogger });
        await helper.sync(${JSON.stringify(base)});
        console.log(readFileSync(\`/proc/self/task/\${process.pid}/children\`, "utf8").trim());
        ${last}`;
      const args = ["--input-type=module-typescript", "-e", code];
      const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
      const ended = once(child, "exit");
      const helperPid = once(child.stdout.setEncoding("utf8"), "data").then(([text]) => Number(text));
      return { child, ended, helperPid };
    };

    it("does not keep it from ending, and ends with it", async () => {
      const { ended, helperPid } = startProcess("");
      const pid = await helperPid;
      expect(await ended).toEqual([0, null]);
      await waitUntil("the helper has ended", () => !isAlive(pid));
    });

    it("ends when it is killed", async () => {
      const { child, ended, helperPid } = startProcess("process.stdin.resume();");
      const pid = await helperPid;
      expect(isAlive(pid)).toBe(true);
      child.kill("SIGKILL");
      expect(await ended).toEqual([null, "SIGKILL"]);
      await waitUntil("the helper has ended", () => !isAlive(pid));
    });
  });
});
