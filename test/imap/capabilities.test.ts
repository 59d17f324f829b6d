import { duplexPair } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { capabilities } from "../../src/imap/capabilities.ts";
import { serveConnection } from "../../src/imap/connection.ts";
import type { Session } from "../../src/imap/state.ts";
import { silentLogger } from "../../src/log.ts";
import { isLoopback } from "../../src/wire/loopback.ts";
import { createMemoryAccount } from "../helpers/memory-account.ts";

const account = createMemoryAccount();

function sessionFrom(
  address: string,
  with_: { secure?: boolean; startTls?: boolean; allow?: boolean },
): Session {
  return {
    id: "s",
    options: {
      hostname: "h",
      login: account.login,
      allowPlaintextLogin: with_.allow ?? false,
      loginFailureDelayMs: 1,
      logger: silentLogger,
    },
    state: { kind: "not-authenticated", failures: 0 },
    peer: { address, port: 1, session: "s", protocol: "imap", secure: with_.secure ?? false },
    startTls: with_.startTls ?? false,
    enabled: { condstore: false, qresync: false },
    upload: undefined,
    onNews: undefined,
    badCommands: 0,
    wake: () => {},
  };
}

const offered = (session: Session): string =>
  capabilities(session).replace(
    "IMAP4rev1 SASL-IR ID IDLE LITERAL+ NAMESPACE UNSELECT CHILDREN UIDPLUS MOVE ENABLE CONDSTORE QRESYNC ESEARCH SEARCHRES WITHIN SORT SORT=DISPLAY ESORT THREAD=ORDEREDSUBJECT THREAD=REFERENCES THREAD=REFS ",
    "",
  );

describe("capabilities before login", () => {
  it.each([
    ["192.0.2.1", {}, "LOGINDISABLED"],
    ["192.0.2.1", { startTls: true }, "STARTTLS LOGINDISABLED"],
    ["192.0.2.1", { startTls: true, secure: true }, "AUTH=PLAIN AUTH=LOGIN"],
    ["192.0.2.1", { allow: true }, "AUTH=PLAIN AUTH=LOGIN"],
    ["192.0.2.1", { allow: true, startTls: true }, "STARTTLS AUTH=PLAIN AUTH=LOGIN"],
    ["127.0.0.1", { startTls: true }, "STARTTLS AUTH=PLAIN AUTH=LOGIN"],
    ["::ffff:127.0.0.1", {}, "AUTH=PLAIN AUTH=LOGIN"],
  ])("from %s with %o: %s", (address, with_, expected) => {
    expect(offered(sessionFrom(address, with_))).toBe(expected);
  });

  it("tells this machine from others", () => {
    expect(["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"].every(isLoopback)).toBe(true);
    expect(["10.0.0.1", "::2", "128.0.0.1", "", "x127.0.0.1", "::ffff:10.0.0.1"].some(isLoopback)).toBe(
      false,
    );
  });

  it("lets no password be tried in the clear from elsewhere", async () => {
    const [server, client] = duplexPair();
    const times = { loginTimeoutMs: 1_000, idleTimeoutMs: 1_000, stallTimeoutMs: 1_000 };
    const connection = serveConnection(server, sessionFrom("192.0.2.1", {}), times, undefined);
    client.end(
      "a LOGIN alice secret\r\nb AUTHENTICATE PLAIN\r\nc AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==\r\n",
    );
    const answers = (await text(client)).split("\r\n").slice(1, -1);
    await connection.finished;
    expect(answers).toEqual(
      ["a", "b", "c"].map((tag) => `${tag} NO [PRIVACYREQUIRED] A password needs TLS here.`),
    );
    expect(account.logins).toEqual([]);
  });
});
