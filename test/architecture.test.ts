/**
 * Imports run only downwards: this reads the import lines and holds them against the table below.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";

const src = resolve(import.meta.dirname, "../src");

/** Which folders the files of a folder may import from; their own is always allowed. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  imap: ["account", "auth", "mail", "wire"],
  pop3: ["account", "auth", "mail", "wire"],
  admin: ["account", "auth", "mail", "migration"],
  account: ["migration", "store", "mail"],
  migration: ["store", "legacy", "mail"],
  auth: ["legacy", "mail"],
  store: ["mail"],
  legacy: ["mail"],
  wire: ["auth"],
  mail: [],
};
/** Root files that every folder but mail/ may import: vocabulary of failures, logs and waiting. */
const common = ["errors.ts", "log.ts", "waiting.ts"];

interface Import {
  readonly from: string;
  readonly to: string;
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesBelow(path) : path.endsWith(".ts") ? [path] : [];
  });
}

const files = filesBelow(src);
const imports: Import[] = files.flatMap((file) =>
  [...readFileSync(file, "utf8").matchAll(/(?:from|import)\s*\(?\s*["']([^"']+)["']/g)].map((match) => ({
    from: relative(src, file),
    to: match[1]!.startsWith(".") ? relative(src, resolve(dirname(file), match[1]!)) : match[1]!,
  })),
);
const folderOf = (path: string): string | undefined => (path.includes("/") ? path.split("/")[0] : undefined);
const isInside = ({ to }: Import): boolean => to.endsWith(".ts");

function forbidden(matches: (one: Import) => boolean): string[] {
  return imports.filter(matches).map(({ from, to }) => `${from} imports ${to}`);
}

describe("the architecture", () => {
  it("has only folders that the table knows", () => {
    const folders = new Set(files.map((file) => folderOf(relative(src, file))));
    expect([...folders].filter((name) => name && name !== "cli" && !(name in allowed))).toEqual([]);
  });

  it("imports run only downwards", () => {
    const upwards = forbidden((one) => {
      const from = folderOf(one.from);
      if (!from || from === "cli" || !isInside(one)) return false;
      const to = folderOf(one.to);
      if (to === undefined) return from === "mail" || !common.includes(one.to);
      return to !== from && !allowed[from]!.includes(to);
    });
    expect(upwards).toEqual([]);
  });

  it("only legacy/ imports imapflow", () => {
    expect(forbidden(({ from, to }) => to === "imapflow" && folderOf(from) !== "legacy")).toEqual([]);
  });

  it("only store/ touches SQLite", () => {
    expect(forbidden(({ from, to }) => to === "node:sqlite" && folderOf(from) !== "store")).toEqual([]);
  });

  it("only store/ touches mail files: the layers around it do no file I/O", () => {
    const layers = ["imap", "pop3", "admin", "account", "migration", "auth", "mail"];
    expect(forbidden(({ from, to }) => /^node:fs/.test(to) && layers.includes(folderOf(from) ?? ""))).toEqual(
      [],
    );
  });

  it("mail/ does no I/O", () => {
    const io = /^node:(fs|net|tls|http|child_process|worker_threads|sqlite)/;
    expect(forbidden(({ from, to }) => folderOf(from) === "mail" && io.test(to))).toEqual([]);
  });

  it("no process is started but the operator's hook, and the one that flushes", () => {
    const starting = imports.filter(({ to }) => to === "node:child_process").map(({ from }) => from);
    expect(starting.sort()).toEqual(["hook-call.ts", "store/sync-helper.ts"]);
  });

  it("only migration/stage.ts changes a stage", () => {
    const writers = files.filter((file) => /\bwriteStage\(/.test(readFileSync(file, "utf8")));
    const mayWrite = ["migration/stage.ts", "store/directory.ts"];
    expect(writers.map((file) => relative(src, file)).filter((file) => !mayWrite.includes(file))).toEqual([]);
  });

  it("only waiting.ts joins abort signals, since it keeps them alive", () => {
    const joining = files.filter((file) => readFileSync(file, "utf8").includes("AbortSignal.any("));
    expect(joining.map((file) => relative(src, file))).toEqual(["waiting.ts"]);
  });

  it("has no file over 400 lines", () => {
    const long = files.filter((file) => readFileSync(file, "utf8").split("\n").length > 400);
    expect(long.map((file) => relative(src, file))).toEqual([]);
  });
});
