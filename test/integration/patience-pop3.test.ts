/** An old POP3 server that takes commands and answers none of them, in front of an account whose mail is all here. */
import { expect, it, onTestFinished } from "vitest";
import type { Pop3Session } from "../../src/legacy/pop3-client.ts";
import { type AlteringPop3, type ServedMessage, startAlteringPop3 } from "../helpers/altering-pop3.ts";
import { type Mailferry, plainListeners, runCli, startMailferry } from "../helpers/mailferry.ts";
import { oddMailbox, oddMessage, startOddImap } from "../helpers/odd-imap.ts";
import { openMaildrop } from "../helpers/pop3-maildrop.ts";
import { waitUntil } from "../helpers/wait-until.ts";

const user = "alice";
const password = "correct horse";

const served = (uid: number): ServedMessage => ({
  uidl: `uidl-${uid}`,
  bytes: oddMessage(uid).body,
});

interface Rig {
  readonly pop3: AlteringPop3;
  readonly mailferry: Mailferry;
}

/** With all of it here. */
async function start(isWithImap: boolean): Promise<Rig> {
  const pop3 = await startAlteringPop3([1, 2, 3].map(served), { isPlain: true });
  onTestFinished(() => pop3.close());
  const odd = await startOddImap({ INBOX: oddMailbox([1, 2, 3].map((uid) => oddMessage(uid))) });
  onTestFinished(() => odd.close());
  const mailferry = await startMailferry({
    legacy: { host: "127.0.0.1", passwordOf: () => password, ports: { imap: odd.port } },
    extra: { listen: plainListeners },
    legacyExtra: {
      ...(!isWithImap && { imap: undefined }),
      pop3: { host: "127.0.0.1", port: pop3.port, tls: "none" },
      patience: 0.1,
    },
  });
  onTestFinished(() => mailferry.close());
  const client = await mailferry.client(user, password);
  await client.ok("SELECT INBOX");
  const { stdout } = await runCli(["migrate", "-c", mailferry.configFile, user]);
  expect(stdout).toContain(": complete: ");
  await client.ok("LOGOUT");
  return { pop3, mailferry };
}

const logIn = ({ mailferry }: Rig): Promise<Pop3Session> =>
  openMaildrop(mailferry.port("pop3"), user, password);

for (const isWithImap of [true, false]) {
  for (const stalled of ["UIDL", "LIST", "QUIT"]) {
    it(`${stalled}, ${isWithImap ? "beside IMAP" : "POP3 only"}: it is answered for from here`, async () => {
      const rig = await start(isWithImap);
      rig.pop3.stalls.add(stalled);
      const client = await logIn(rig);
      expect((await client.list()).size).toBe(3);
      const pieces: Buffer[] = [];
      await client.retrieve(2, (bytes) => void pieces.push(bytes) as undefined);
      expect(Buffer.concat(pieces)).toEqual(oddMessage(2).body);
      await client.quit();
    });
  }
}

it("is asked again by itself: what has come meanwhile is shown as soon as it answers", async () => {
  const rig = await start(false);
  rig.pop3.stalls.add("UIDL");
  await (await logIn(rig)).quit();
  rig.pop3.messages.push(served(4));
  rig.pop3.stalls.clear();
  await waitUntil("the new message is there", async () => {
    const again = await logIn(rig);
    const { size } = await again.list();
    await again.quit();
    return size === 4;
  });
});
