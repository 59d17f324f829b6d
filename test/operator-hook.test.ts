/** The operator's hook, with real programs and a real HTTP server. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { silentLogger } from "../src/log.ts";
import { createOperatorHook, type HookConfig, type OperatorHook } from "../src/operator-hook.ts";
import { openDirectory } from "../src/store/directory.ts";
import { freePort } from "./helpers/free-port.ts";

const { signal } = new AbortController();
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hook-"));
  return () => rmSync(folder, { recursive: true });
});

function hookOf(config: Partial<HookConfig>): OperatorHook & { problem(): string | undefined } {
  const directory = openDirectory(folder);
  onTestFinished(() => directory.close());
  directory.ensureAccount("alice", "imap://old.example.com:143");
  const hook = createOperatorHook({
    config: { timeout: 20, ...config },
    directory,
    logger: silentLogger,
  });
  return { ...hook, problem: () => directory.cutoverNotes.read("alice").hookProblem };
}

const shell = (script: string, ...args: string[]) => ["/bin/sh", "-c", script, "hook", ...args];

async function listen(answer: RequestListener): Promise<string> {
  const server = createServer(answer).listen(0, "127.0.0.1");
  await new Promise((done) => server.once("listening", done));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
}

describe("a program", () => {
  it("is told by one JSON object on standard input, and its arguments are read by no shell", async () => {
    const file = join(folder, "told");
    const hook = hookOf({ command: shell('printf "%s\\n" "$2" > "$1"; cat >> "$1"', file, "$(id) ; a *") });
    await hook.before("cutover", "alice", signal);
    const [argument, told = ""] = readFileSync(file, "utf8").split("\n");
    expect(argument).toBe("$(id) ; a *");
    expect(JSON.parse(told)).toEqual({
      event: "before-cutover",
      user: "alice",
      legacy: "imap://old.example.com:143",
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    });
    expect(await hook.after("rollback", "alice", { messages: 3 })).toBeUndefined();
    expect(JSON.parse(readFileSync(file, "utf8").split("\n")[1] ?? "")).toMatchObject({
      event: "after-rollback",
      messages: 3,
    });
  });

  it.each([
    ["echo 'no quota yet'; echo more; exit 3", "the hook refuses (exit code 3): no quota yet"],
    ["printf '\\n\\033[1mno\\007\\n' >&2; exit 1", "the hook refuses (exit code 1): [1mno"],
    ["exit 2", "the hook refuses (exit code 2)"],
    ["kill -TERM $$", "the hook refuses (SIGTERM)"],
    ["head -c 3000000 /dev/zero | tr '\\0' x; exit 1", `the hook refuses (exit code 1): ${"x".repeat(300)}`],
  ])("refuses with its first line: %s", async (script, reason) => {
    await expect(hookOf({ command: shell(script) }).before("cutover", "alice", signal)).rejects.toMatchObject(
      { code: "CANNOT", message: reason },
    );
  });

  it("that reads nothing and leaves something behind in the background agrees by its exit code", async () => {
    const started = performance.now();
    await hookOf({ command: shell("sleep 5 & exit 0") }).before("cutover", "alice", signal);
    expect(performance.now() - started).toBeLessThan(4_000);
  });

  it("that is not there is no agreement", async () => {
    const hook = hookOf({ command: [join(folder, "nothing")] });
    await expect(hook.before("cutover", "alice", signal)).rejects.toThrow(
      "the hook could not be called (ENOENT)",
    );
  });

  it("is given up after its time, with all that it has started", async () => {
    const file = join(folder, "pid");
    const command = shell('sleep 60 & echo $! > "$1"; wait', file);
    await expect(hookOf({ command, timeout: 1 }).before("cutover", "alice", signal)).rejects.toThrow(
      "the hook has not answered within 1 s",
    );
    const pid = readFileSync(file, "utf8").trim();
    // Whoever is its parent now may not have asked for it yet.
    const isRunning = (): boolean =>
      existsSync(`/proc/${pid}/stat`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
    await expect.poll(isRunning).toBe(false);
  });

  it("is ended when nobody waits for its word any more, and when the server ends", async () => {
    const command = shell("sleep 60");
    const leaving = new AbortController();
    const hook = hookOf({ command });
    const asked = hook.before("cutover", "alice", leaving.signal);
    leaving.abort(new Error("has left"));
    await expect(asked).rejects.toThrow("has left");
    hook.due("cutover", "alice");
    expect(hook.problem()).toBe("after-cutover: the hook was not told");
    const told = hook.after("cutover", "alice");
    await hook.close();
    const problem = "after-cutover: the server ended before the hook answered";
    expect(await told).toBe(problem);
    expect(hook.problem()).toBe(problem);
  });
});

describe("a URL", () => {
  it("is told by the body of a POST", async () => {
    const told: string[] = [];
    const url = await listen(async (request, response) => {
      let body = "";
      for await (const piece of request) body += piece;
      told.push(`${request.method} ${request.url} ${request.headers["content-type"]}`, body);
      response.writeHead(204).end();
    });
    await hookOf({ url }).before("cutover", "alice", signal);
    expect(told[0]).toBe("POST /hook application/json");
    expect(JSON.parse(told[1] ?? "")).toMatchObject({ event: "before-cutover", user: "alice" });
  });

  it.each([
    [503, "not now\nnot ever", "the hook refuses (HTTP 503): not now"],
    [404, "", "the hook refuses (HTTP 404)"],
    [302, "", "the hook refuses (HTTP 302)"],
  ])("refuses by its status: %d", async (status, text, reason) => {
    const url = await listen((_, response) => response.writeHead(status, { location: "/ok" }).end(text));
    await expect(hookOf({ url }).before("cutover", "alice", signal)).rejects.toMatchObject({
      code: "CANNOT",
      message: reason,
    });
  });

  it("that is silent, endless or away: what was done stays, and the problem is kept until it is told", async () => {
    const silent = hookOf({ url: await listen(() => undefined), timeout: 1 });
    expect(await silent.after("cutover", "alice")).toBe(
      "after-cutover: the hook has not answered within 1 s",
    );
    const endless = await listen((_, response) => {
      const write = (): void =>
        void (response.write("x".repeat(65_536)) ? setImmediate(write) : response.once("drain", write));
      write();
    });
    await hookOf({ url: endless }).before("cutover", "alice", signal);
    const away = hookOf({ url: `http://127.0.0.1:${await freePort()}/` });
    const problem = "after-cutover: the hook could not be called (ECONNREFUSED)";
    expect(await away.after("cutover", "alice")).toBe(problem);
    expect(away.problem()).toBe(problem);
    await hookOf({ command: ["/bin/true"] }).after("cutover", "alice");
    expect(away.problem()).toBeUndefined();
  });
});
