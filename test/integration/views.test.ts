/** What sessions on one mailbox are told of each other (RFC 3501 5.2, 7.4.1), in both stages. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, it } from "vitest";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { createAccount, type Mailferry, startMailferry } from "../helpers/mailferry.ts";
import { playTranscript } from "../helpers/transcript.ts";

const user = "alice";
const folder = join(import.meta.dirname, "../transcripts/views");
const transcripts = ["changes.txt", "names.txt"];

describe("while mirroring", () => {
  let legacy: Dovecot;
  let mailferry: Mailferry;
  beforeAll(async () => {
    legacy = await startDovecot({ users: [user] });
    mailferry = await startMailferry({ legacy });
  });
  afterAll(async () => {
    await mailferry?.close();
    await legacy?.close();
  });

  it.each(transcripts)("%s", (file) => {
    const values = { user, password: legacy.passwordOf(user) };
    return playTranscript(join(folder, file), { port: mailferry.port("imap"), byteByByte: false, values });
  });
});

describe("in a local account", () => {
  const values = { user, password: "pass" };
  let mailferry: Mailferry;
  beforeAll(async () => {
    mailferry = await startMailferry({});
    await createAccount(mailferry, user, values.password);
  });
  afterAll(() => mailferry?.close());

  it.each(transcripts)("%s", (file) =>
    playTranscript(join(folder, file), { port: mailferry.port("imap"), byteByByte: false, values }),
  );
});
