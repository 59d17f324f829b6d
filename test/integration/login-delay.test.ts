/** LOGIN-DELAY (RFC 2449 6.5) of an old POP3 server: logins of ours get no client refused that keeps to it. */
import { expect, it, onTestFinished } from "vitest";
import { startAlteringPop3 } from "../helpers/altering-pop3.ts";
import { startBehindPop3 } from "../helpers/behind-pop3.ts";
import { runCli } from "../helpers/mailferry.ts";
import { openMaildrop } from "../helpers/pop3-maildrop.ts";

const user = "alice";

it("is kept by clients, pulls, verify and cutover together", async () => {
  const messages = [1, 2, 3].map((name) => ({
    uidl: `uidl-${name}`,
    bytes: Buffer.from(`Subject: letter ${name}\r\n\r\nbody of ${name}\r\n`),
  }));
  const pop3 = await startAlteringPop3(messages, { isPlain: true, loginDelaySeconds: 2 });
  onTestFinished(() => pop3.close());
  const mailferry = await startBehindPop3(pop3.port);
  const look = async (): Promise<number> => {
    const session = await openMaildrop(mailferry.port("pop3"), user);
    const { size } = await session.list();
    await session.quit();
    return size;
  };
  const run = (command: string) => runCli([command, "-c", mailferry.configFile, user]);
  expect(await look()).toBe(3);
  expect((await run("migrate")).code).toBe(0);
  expect(await look()).toBe(3);
  expect(await look()).toBe(3);
  const client = await mailferry.client(user);
  expect((await client.ok("SELECT INBOX")).untagged.join("")).toContain("3 EXISTS");
  expect((await run("verify")).code).toBe(0);
  expect(await look()).toBe(3);
  expect((await run("cutover")).stdout).toContain("local");
  // Only then is it known to be meant.
  expect(pop3.tooSoon).toBe(1);
});
