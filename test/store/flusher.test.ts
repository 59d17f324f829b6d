import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { silentLogger } from "../../src/log.ts";
import { createFlusher, type Flusher } from "../../src/store/flusher.ts";
import { type SyncHelper, startSyncHelper } from "../../src/store/sync-helper.ts";
import { createWriter, type Writer, type WriterJobs } from "../../src/store/writer.ts";
import type { WriterJob } from "../../src/store/writer-jobs.ts";
import { createFakeSync, type FakeSync } from "../helpers/fake-sync.ts";

let base: string;
let fake: FakeSync;
let helper: SyncHelper;
let writer: Writer;
let flusher: Flusher;
/** What was flushed file by file. */
let byFile: string[];

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "flusher-"));
  fake = createFakeSync();
  helper = startSyncHelper({ logger: silentLogger, path: fake.path })!;
  writer = createWriter();
  byFile = [];
  flusher = createFlusher({ writer: watched(writer), logger: silentLogger, helper });
});
afterEach(async () => {
  await helper.close();
  await writer.close();
  fake.remove();
  rmSync(base, { recursive: true, force: true });
});

function watched(jobs: WriterJobs): WriterJobs {
  return {
    run(job) {
      const given: WriterJob = job;
      if (given.kind === "sync") byFile.push(given.directory);
      return jobs.run(job);
    },
  };
}

function folderOf(name: string, of = flusher) {
  mkdirSync(join(base, name), { recursive: true });
  return of.folder(join(base, name));
}

/** All that wait are flushed by one run, which succeeds. */
async function flushed(...waiting: readonly Promise<void>[]): Promise<void> {
  await fake.began();
  fake.end();
  await Promise.all(waiting);
}

describe("the flusher", () => {
  it("flushes once for all who wait", async () => {
    const folders = Array.from({ length: 20 }, (_, index) => folderOf(`account ${index}`));
    for (const { wrote } of folders) wrote();
    await flushed(...folders.map(({ flush }) => flush()), folders[0]!.flush());
    expect(fake.runs).toBe(1);
  });

  it("flushes once more for all who come while it does", async () => {
    const [first, ...others] = ["a", "b", "c"].map((name) => folderOf(name));
    const before = first!.flush();
    await fake.began();
    first!.wrote();
    const waiting = [first!, ...others].map(({ flush }) => flush());
    let early = 0;
    for (const one of waiting) void one.then(() => early++);
    fake.end();
    await before;
    expect(early).toBe(0);
    await flushed(...waiting);
    expect(fake.runs).toBe(2);
  });

  it("does nothing where nothing was written since", async () => {
    const [first, second] = [folderOf("a"), folderOf("b")];
    first.wrote();
    await flushed(first.flush());
    await first.flush();
    // What was written to it before there was this process, that flush has covered, too.
    await second.flush();
    await folderOf("c").flush();
    // Opened once more.
    await folderOf("a").flush();
    second.wrote();
    await flushed(second.flush());
    expect(fake.runs).toBe(2);
  });

  it("does not take what was written meanwhile for flushed", async () => {
    const folder = folderOf("a");
    const flush = folder.flush();
    await fake.began();
    folder.wrote();
    fake.end();
    await flush;
    await flushed(folder.flush());
  });

  it("remembers what was written when an account is closed and opened again", async () => {
    await flushed(folderOf("a").flush());
    folderOf("a").wrote();
    await flushed(folderOf("a").flush());
  });

  it("flushes each file system by a folder that is on it", async () => {
    const elsewhere = mkdtempSync("/dev/shm/flusher-");
    try {
      expect(statSync(elsewhere).dev).not.toBe(statSync(base).dev);
      symlinkSync(elsewhere, join(base, "linked"));
      const [here, linked] = [folderOf("here"), flusher.folder(join(base, "linked"))];
      const waiting = [here.flush(), linked.flush()];
      expect((await fake.began()).args.at(-1)).toBe(join(base, "here"));
      fake.end();
      expect((await fake.began()).args.at(-1)).toBe(join(base, "linked"));
      fake.end();
      await Promise.all(waiting);
      linked.wrote();
      await here.flush();
      await flushed(linked.flush());
    } finally {
      rmSync(elsewhere, { recursive: true });
    }
  });

  it("flushes ahead for all who are on the same file system", async () => {
    const [first, second] = [folderOf("a"), folderOf("b")];
    second.wrote();
    await flushed(first.flushAhead());
    await second.flush();
    expect(fake.runs).toBe(1);
  });

  describe("without help", () => {
    it("flushes file by file, each folder that was written to", async () => {
      const [first, second] = [folderOf("a"), folderOf("b")];
      first.wrote();
      second.wrote();
      const waiting = [first.flush(), second.flush()];
      fake.end(1);
      await Promise.all(waiting);
      expect(byFile).toEqual([join(base, "a"), join(base, "b")]);
      await first.flush();
      await second.flush();
      expect(fake.runs).toBe(1);
      first.wrote();
      await flushed(first.flush());
      expect(byFile).toHaveLength(2);
    });

    it("goes on when the helper was killed", async () => {
      const [first, second] = [folderOf("a"), folderOf("b")];
      const waiting = [first.flush(), second.flush()];
      fake.killParent();
      await Promise.all(waiting);
      await first.flush();
      first.wrote();
      await first.flush();
      expect(byFile).toEqual(["a", "b", "a"].map((name) => join(base, name)));
      expect(fake.runs).toBe(1);
    });

    it("flushes a folder whose name has a line feed", async () => {
      await folderOf("a\nb").flush();
      expect(byFile).toEqual([join(base, "a\nb")]);
      expect(fake.runs).toBe(0);
    });

    it("has flushed nothing when that fails, too", async () => {
      const folder = folderOf("a");
      folder.wrote();
      rmSync(join(base, "a"), { recursive: true });
      const flush = folder.flush();
      fake.end(1);
      await expect(flush).rejects.toMatchObject({ code: "UNAVAILABLE" });
      mkdirSync(join(base, "a"));
      await flushed(folder.flush());
      expect(byFile).toHaveLength(1);
    });

    it("does not keep the writer from writing to flush ahead", async () => {
      const alone = createFlusher({ writer: watched(writer), logger: silentLogger });
      const folder = folderOf("a", alone);
      await expect(folder.flushAhead()).rejects.toThrow("no sync helper");
      expect(byFile).toEqual([]);
      await folder.flush();
      await folder.flush();
      expect(byFile).toEqual([join(base, "a")]);
    });
  });
});
