import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { callControl, controlSocketPath, serveControl } from "../../src/cli/control.ts";
import type { OperationRequest } from "../../src/cli/operations.ts";
import { MailError } from "../../src/errors.ts";
import { Secret } from "../../src/mail/secret.ts";

let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "mailferry-control-"));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const request = (progress: unknown[] = []): OperationRequest => ({
  user: "alice",
  password: new Secret("secret"),
  signal: new AbortController().signal,
  onProgress: (one) => progress.push(one),
});

describe.each([
  ["a short path", () => join(base, "data")],
  ["a path longer than a socket's may be", () => join(base, "x".repeat(100), "data")],
])("the control socket on %s", (_, dataDirOf) => {
  it("passes a request, progress, result and errors", async () => {
    const dataDir = dataDirOf();
    mkdirSync(dataDir, { recursive: true });
    const path = controlSocketPath(dataDir);
    expect(Buffer.byteLength(path)).toBeLessThanOrEqual(107);
    expect(await callControl(dataDir, "status", request())).toBeUndefined();

    const control = await serveControl(dataDir, async (operation, { user, password, onProgress }) => {
      if (operation === "verify") throw new MailError("NONEXISTENT", "no such account");
      onProgress({ step: 1 });
      return { operation, user, password: password?.reveal() };
    });
    try {
      expect(statSync(path).mode & 0o777).toBe(0o600);
      const progress: unknown[] = [];
      const answer = await callControl(dataDir, "migrate", request(progress));
      expect(answer?.result).toEqual({ operation: "migrate", user: "alice", password: "secret" });
      expect(progress).toEqual([{ step: 1 }]);
      await expect(callControl(dataDir, "verify", request())).rejects.toMatchObject({
        code: "NONEXISTENT",
        message: "no such account",
      });
    } finally {
      await control.close();
    }
    expect(await callControl(dataDir, "status", request())).toBeUndefined();
  });
});

describe("the control socket", () => {
  it("takes over what a dead process has left, and answers rubbish with an error", async () => {
    const first = await serveControl(base, async () => "first");
    const second = await serveControl(base, async () => "second");
    expect(await callControl(base, "status", request())).toEqual({ result: "second" });
    const socket = connect(controlSocketPath(base));
    socket.end("not JSON\n");
    const answer = await socket.setEncoding("utf8").toArray();
    expect(answer.join("")).toMatch(/^\{"error":/);
    await second.close();
    await first.close();
  });

  it("ends the waiting of a command that is stopped", async () => {
    let stopped = false;
    const { promise, resolve } = Promise.withResolvers<void>();
    const control = await serveControl(base, async (_, { signal, onProgress }) => {
      onProgress("running");
      await new Promise<void>((done) => signal.addEventListener("abort", () => done(), { once: true }));
      stopped = true;
      resolve();
    });
    const controller = new AbortController();
    const onProgress = (): void => controller.abort(new Error("stopped by SIGINT"));
    await expect(
      callControl(base, "migrate", { ...request(), signal: controller.signal, onProgress }),
    ).rejects.toThrow();
    await promise;
    expect(stopped).toBe(true);
    await control.close();
  });
});
