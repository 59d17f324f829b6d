import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { type Directory, openDirectory } from "../../src/store/directory.ts";

function openTwice(first: (directory: Directory) => void): Directory {
  const folder = mkdtempSync(join(tmpdir(), "directory-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const directory = openDirectory(folder);
  first(directory);
  directory.close();
  const again = openDirectory(folder);
  onTestFinished(() => again.close());
  return again;
}

const nothing = {
  equalSince: undefined,
  lookedAt: undefined,
  problem: undefined,
  hookProblem: undefined,
  cutOverAt: undefined,
};

it("keeps what is written, field by field, and takes back what is undefined", () => {
  const [monday, tuesday] = [new Date("2024-01-01T22:00:00Z"), new Date("2024-01-02T22:00:00Z")];
  const { cutoverNotes } = openTwice((directory) => {
    directory.cutoverNotes.write("alice", { equalSince: monday, lookedAt: monday });
    directory.cutoverNotes.write("alice", { lookedAt: tuesday, problem: "differs" });
    directory.cutoverNotes.write("bob", { equalSince: monday, hookProblem: "away" });
    directory.cutoverNotes.write("bob", { equalSince: undefined });
  });
  expect(cutoverNotes.read("alice")).toEqual({
    ...nothing,
    equalSince: monday,
    lookedAt: tuesday,
    problem: "differs",
  });
  expect(cutoverNotes.read("bob")).toEqual({ ...nothing, hookProblem: "away" });
  expect(cutoverNotes.read("nobody")).toEqual(nothing);
});

it("an account that becomes local is noted with its stage, and begins anew should it come back", () => {
  const directory = openTwice((first) => {
    first.ensureAccount("alice", "imap://old");
    first.cutoverNotes.write("alice", { equalSince: new Date(), lookedAt: new Date(), problem: "differs" });
    first.writeStage("alice", "local");
  });
  expect(directory.account("alice")?.stage).toBe("local");
  expect(directory.cutoverNotes.read("alice")).toEqual({
    ...nothing,
    lookedAt: expect.any(Date),
    cutOverAt: expect.any(Date),
  });
});
