/** One dialogue with every command that changes something, in both stages, and what it leaves behind. */
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { startDovecot } from "../helpers/dovecot.ts";
import { createAccount, startMailferry } from "../helpers/mailferry.ts";
import { takeSnapshot } from "../helpers/snapshot.ts";
import { diffSnapshots } from "../helpers/snapshot-diff.ts";
import { playTranscript } from "../helpers/transcript.ts";

const transcript = join(import.meta.dirname, "../transcripts/filing/filing.txt");
const user = "alice";

it("while mirroring: afterwards the legacy server's snapshot equals Mailferry's", async () => {
  const legacy = await startDovecot({ users: [user] });
  onTestFinished(() => legacy.close());
  const mailferry = await startMailferry({ legacy });
  onTestFinished(() => mailferry.close());
  const values = { user, password: legacy.passwordOf(user) };
  await playTranscript(transcript, { port: mailferry.port("imap"), byteByByte: false, values });
  const [here, there] = [await mailferry.client(user), await legacy.client(user)];
  const difference = diffSnapshots(await takeSnapshot(there), await takeSnapshot(here), {
    ignore: ["RECENT"],
  });
  expect(difference).toEqual([]);
});

it("in a local account: afterwards a Dovecot on the Maildir agrees", async () => {
  const mailferry = await startMailferry({});
  onTestFinished(() => mailferry.close());
  const values = { user, password: "pass" };
  await createAccount(mailferry, user, values.password);
  await playTranscript(transcript, { port: mailferry.port("imap"), byteByByte: false, values });
  const here = await takeSnapshot(await mailferry.client(user, values.password));
  expect(await mailferry.stop()).toBe(0);
  const second = await startDovecot({ users: [user], started: false });
  onTestFinished(() => second.close());
  await second.adoptMaildir(user, join(mailferry.dataDir, "mail", "_", user, "Maildir"));
  await second.start();
  const there = await takeSnapshot(await second.client(user));
  expect(diffSnapshots(here, there, { ignore: ["RECENT"] })).toEqual([]);
});
