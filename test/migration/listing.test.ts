import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { encodedMailboxName, inbox } from "../../src/mail/ids.ts";
import { commitListing } from "../../src/migration/listing.ts";
import { createFixture } from "../store/fixture.ts";

it("the first listing of a server with a prefix is written to Dovecot's subscriptions without it", async () => {
  const fixture = createFixture();
  const store = await fixture.open();
  onTestFinished(async () => {
    await store.close();
    fixture.remove();
  });
  const [work, gone] = ["INBOX.Work.2024", "INBOX.Gone"].map(encodedMailboxName) as [
    typeof inbox,
    typeof inbox,
  ];
  const listed = (name: typeof inbox) => ({ name, separator: ".", attributes: [] });
  const listing = {
    namespaces: { personal: [{ prefix: "INBOX.", separator: "." }], otherUsers: null, shared: null },
    mailboxes: [listed(inbox), listed(work)],
    subscriptions: [listed(inbox), listed(work), listed(gone)],
  };
  commitListing(store, listing);
  const names = listing.subscriptions.map(({ name }) => name);
  expect(await store.compareSubscriptions(names, ".")).toEqual({ missing: [], extra: [] });
  expect(readFileSync(join(store.directory, "Maildir", "subscriptions"), "latin1")).toBe(
    "V\t2\n\nINBOX\nWork\t2024\nGone\n",
  );
});
