/** An old server that does not tell a UIDVALIDITY for a moment, as one does that is just making the mailbox ready. */
import { expect, it } from "vitest";
import { startBehindOdd } from "../helpers/behind-odd.ts";
import { oddMailbox, oddMessage } from "../helpers/odd-imap.ts";

it("at the first look at a mailbox: clients are told the lasting one, once and for all", async () => {
  const { odd, mailferry } = await startBehindOdd({ INBOX: oddMailbox([oddMessage(1), oddMessage(2)]) });
  let zeros = 2;
  odd.behave({
    sent(text) {
      const told = zeros > 0 ? text.replace(/UIDVALIDITY \d+/, "UIDVALIDITY 0") : text;
      if (told !== text) zeros--;
      return told;
    },
  });
  const client = await mailferry.client("alice");
  const { untagged } = await client.ok("SELECT INBOX");
  expect(untagged.join("\n")).toContain("[UIDVALIDITY 1000]");
  expect(zeros).toBe(0);
  expect((await client.ok("UID FETCH 1:* (UID BODY.PEEK[])")).untagged).toHaveLength(2);
  expect((await client.ok("NOOP")).status).toBe("OK");
});
