/** An operator who wants no password hashes on this machine. */

import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, it, onTestFinished } from "vitest";
import { startDovecot } from "../helpers/dovecot.ts";
import { runCli, startMailferry } from "../helpers/mailferry.ts";

const user = "alice";

it("stores nothing, and a cutover says that nobody could log in", async () => {
  const legacy = await startDovecot({ users: [user] });
  onTestFinished(() => legacy.close());
  const mailferry = await startMailferry({ legacy, extra: { auth: { capturePasswords: false } } });
  onTestFinished(() => mailferry.close());
  await (await mailferry.client(user)).ok("SELECT INBOX");
  const refused = await runCli(["cutover", "-c", mailferry.configFile, user]);
  expect(refused).toMatchObject({ code: 1, stdout: "" });
  expect(refused.stderr).toBe("auth.capturePasswords is off: nobody could log in after a cutover\n");
  // Hashing runs behind the login, and is finished before the server ends.
  expect(await mailferry.stop()).toBe(0);
  const directory = new DatabaseSync(join(mailferry.dataDir, "directory.db"), { readOnly: true });
  expect(directory.prepare("SELECT * FROM password_hashes").all()).toEqual([]);
  directory.close();
});
