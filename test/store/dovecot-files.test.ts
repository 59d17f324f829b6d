import { once } from "node:events";
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { maxUid, uid, uidValidity } from "../../src/mail/ids.ts";
import { acquireDotlock, tryDotlock, uidlistLock } from "../../src/store/dotlock.ts";
import { formatKeywords, parseKeywords, writeKeywordsFile } from "../../src/store/dovecot-keywords.ts";
import { formatUidlist, parseUidlist, parseUidlistHeader } from "../../src/store/dovecot-uidlist.ts";
import {
  formatUidValidity,
  parseUidValidity,
  raiseUidValidity,
} from "../../src/store/dovecot-uidvalidity.ts";
import { formatSubscriptions, parseSubscriptions } from "../../src/store/subscriptions.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "mailferry-files-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe("dovecot-uidlist", () => {
  const sample = [
    "3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1 Pfoo",
    "25006 :1276528487.M364837P9451.host,S=1355,W=1394",
    "25017 P0000-1 O12 W2481 :1276533073.M242911P3632.host",
    "",
  ].join("\n");

  test("reads what Dovecot writes, and writes the same", () => {
    const list = parseUidlist(sample);
    expect(list?.header.otherFields).toEqual(["Pfoo"]);
    expect(list?.records[1]).toEqual({
      uid: 25017,
      fields: ["P0000-1", "O12", "W2481"],
      fileName: "1276533073.M242911P3632.host",
    });
    expect(list && formatUidlist(list)).toBe(sample);
  });

  test("parse(format(x)) = x", () => {
    const word = fc.stringMatching(/^[!-.0-~]{1,30}$/);
    const list = fc
      .record({
        validity: fc.integer({ min: 1, max: maxUid }),
        guid: fc.stringMatching(/^[0-9a-f]{32}$/),
        uids: fc.uniqueArray(fc.integer({ min: 1, max: maxUid - 2 }), { maxLength: 20 }),
        names: fc.array(word, { minLength: 20, maxLength: 20 }),
        fields: fc.array(
          word.map((value) => `P${value}`),
          { maxLength: 2 },
        ),
        other: fc.array(
          word.map((value) => `X${value}`),
          { maxLength: 2 },
        ),
      })
      .map(({ validity, guid, uids, names, fields, other }) => ({
        header: {
          uidValidity: uidValidity(validity),
          uidNext: uid(Math.max(0, ...uids) + 1),
          guid,
          otherFields: other,
        },
        records: uids
          .sort((a, b) => a - b)
          .map((number, index) => ({ uid: uid(number), fields, fileName: names[index] ?? "" })),
      }));
    fc.assert(
      fc.property(list, (value) => {
        expect(parseUidlist(formatUidlist(value))).toEqual(value);
      }),
    );
  });

  test.each([
    ["", "nothing"],
    ["1 V1 N2\n", "another version"],
    ["3 V0 N2 G3085f01b7f11094c501100008c4a11c1\n", "V of 0"],
    ["3 V1 N9 G3085f01b7f11094c501100008c4a11c1\n5 :a\n4 :b\n", "UIDs that go down"],
    ["3 V1 N9 G3085f01b7f11094c501100008c4a11c1\n9 :a\n", "a UID at N"],
    ["3 V1 N9 G3085f01b7f11094c501100008c4a11c1\n5 :a/b\n", "a slash"],
    ["3 V1 N9 G3085f01b7f11094c501100008c4a11c1\n5 :a", "a cut off line"],
  ])("%j is refused: %s", (text) => {
    expect(parseUidlist(text)).toBeUndefined();
  });

  test("the header alone", () => {
    expect(parseUidlistHeader("3 V7 N8 G3085f01b7f11094c501100008c4a11c1")).toMatchObject({
      uidValidity: 7,
      uidNext: 8,
    });
  });
});

describe("dovecot-keywords", () => {
  test("parse(format(x)) = x", () => {
    const keywords = fc.array(fc.stringMatching(/^[!-~]{1,20}$/), { maxLength: 26 });
    fc.assert(
      fc.property(keywords, (names) => {
        expect(parseKeywords(formatKeywords(names))).toEqual(names);
      }),
    );
  });

  test("only 26 fit", () => {
    const names = Array.from({ length: 30 }, (_, slot) => `k${slot}`);
    expect(parseKeywords(formatKeywords(names))).toEqual(names.slice(0, 26));
  });

  test("each write has a later mtime in seconds", () => {
    const path = join(root, "dovecot-keywords");
    writeKeywordsFile(path, ["a"]);
    const ahead = Math.floor(Date.now() / 1000) + 100;
    utimesSync(path, ahead, ahead);
    writeKeywordsFile(path, ["a", "b"]);
    expect(statSync(path).mtimeMs / 1000).toBe(ahead + 1);
    expect(readFileSync(path, "latin1")).toBe("0 a\n1 b\n");
  });
});

describe("dovecot-uidvalidity", () => {
  test("is written anew where only the file that carries it in its name is left", () => {
    raiseUidValidity(root, 77);
    rmSync(join(root, "dovecot-uidvalidity"));
    raiseUidValidity(root, 50);
    expect(readFileSync(join(root, "dovecot-uidvalidity"), "latin1")).toBe("0000004d");
  });

  test("parse(format(x)) = x", () => {
    fc.assert(
      fc.property(fc.nat(maxUid), (value) => {
        expect(parseUidValidity(formatUidValidity(value))).toBe(value);
      }),
    );
    expect(parseUidValidity("xyz")).toBeUndefined();
  });

  test("goes up only, with one file that carries the digits", () => {
    for (const [value, expected] of [
      [16, "00000010"],
      [32, "00000020"],
      [5, "00000020"],
    ] as const) {
      raiseUidValidity(root, value);
      expect(readFileSync(join(root, "dovecot-uidvalidity"), "latin1")).toBe(expected);
      expect(readdirSync(root).sort()).toEqual(["dovecot-uidvalidity", `dovecot-uidvalidity.${expected}`]);
    }
  });
});

describe("subscriptions", () => {
  test("parse(format(x)) = x", () => {
    const level = fc.string({
      minLength: 1,
      maxLength: 20,
      unit: fc.nat(255).map((n) => String.fromCharCode(n)),
    });
    const names = fc.array(fc.array(level, { minLength: 1, maxLength: 4 }), { maxLength: 10 });
    fc.assert(
      fc.property(names, (list) => {
        expect(parseSubscriptions(formatSubscriptions(list))).toEqual(list);
      }),
    );
  });

  test("version 1 is not read as version 2", () => {
    expect(parseSubscriptions("INBOX\na.b\n")).toBeUndefined();
  });
});

describe("dotlock", () => {
  test("is never there without its owner, at whatever moment a kill may come", async () => {
    const watcher = new Worker(
      `const { readFileSync } = require("node:fs");
       const { parentPort, workerData } = require("node:worker_threads");
       let over = false, empty = 0;
       parentPort.on("message", () => { over = true; });
       const look = () => {
         for (let i = 0; i < 2000; i++) {
           try { if (readFileSync(workerData, "latin1") === "") empty++; } catch {}
         }
         if (over) parentPort.postMessage(empty); else setImmediate(look);
       };
       look();`,
      { eval: true, workerData: `${path()}.lock` },
    );
    await once(watcher, "online");
    for (let round = 0; round < 5_000; round++) tryDotlock(path(), uidlistLock)?.release();
    watcher.postMessage("over");
    const [empty] = await once(watcher, "message");
    await watcher.terminate();
    expect(empty).toBe(0);
  });

  const path = (): string => join(root, "dovecot-uidlist");

  test("one at a time", async () => {
    const lock = tryDotlock(path(), uidlistLock);
    expect(tryDotlock(path(), uidlistLock)).toBeUndefined();
    const next = acquireDotlock(path(), uidlistLock);
    lock?.release();
    (await next).release();
    expect(readdirSync(root)).toEqual([]);
  });

  test("is taken over when its process is gone or it is old, not when it is another machine’s", () => {
    writeFileSync(`${path()}.lock`, "12345:elsewhere");
    expect(tryDotlock(path(), uidlistLock)).toBeUndefined();
    const long = Date.now() / 1000 - 121;
    utimesSync(`${path()}.lock`, long, long);
    expect(tryDotlock(path(), uidlistLock)).toBeDefined();
  });

  test("is taken over though a kill left its other name", () => {
    const own = `${path()}.lock.${process.pid}`;
    writeFileSync(own, `${process.pid}:${hostname()}`);
    linkSync(own, `${path()}.lock`);
    utimesSync(own, 1000, 1000);
    expect(tryDotlock(path(), uidlistLock)).toBeDefined();
  });

  test("gives up in time", async () => {
    writeFileSync(`${path()}.lock`, "12345:elsewhere");
    await expect(acquireDotlock(path(), { waitMs: 0, staleMs: 60_000 })).rejects.toMatchObject({
      code: "INUSE",
    });
  });

  test("errors other than being held are not waited out", () => {
    mkdirSync(join(root, "sub"));
    expect(() => tryDotlock(join(root, "none", "x"), uidlistLock)).toThrow(/ENOENT/);
  });
});
