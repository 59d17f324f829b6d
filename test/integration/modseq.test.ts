/** The same dialogue about MODSEQs with Dovecot and with Mailferry, in both stages. */
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { startDovecot } from "../helpers/dovecot.ts";
import { createAccount, startMailferry } from "../helpers/mailferry.ts";
import { playTranscript } from "../helpers/transcript.ts";

const transcript = join(import.meta.dirname, "../transcripts/modseq/modseq.txt");
const user = "alice";

it("with Dovecot, and with Mailferry in front of it", async () => {
  const legacy = await startDovecot({ users: [user, "bob"] });
  onTestFinished(() => legacy.close());
  const straight = { user: "bob", password: legacy.passwordOf("bob") };
  await playTranscript(transcript, { port: legacy.ports.imap, byteByByte: false, values: straight });
  const mailferry = await startMailferry({ legacy });
  onTestFinished(() => mailferry.close());
  const values = { user, password: legacy.passwordOf(user) };
  await playTranscript(transcript, { port: mailferry.port("imap"), byteByByte: false, values });
  expect(await legacy.errors()).toEqual([]);
});

it("in a local account", async () => {
  const mailferry = await startMailferry({});
  onTestFinished(() => mailferry.close());
  const values = { user, password: "pass" };
  await createAccount(mailferry, user, values.password);
  await playTranscript(transcript, { port: mailferry.port("imap"), byteByByte: false, values });
});
