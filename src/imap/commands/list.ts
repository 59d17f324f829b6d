/**
 * LIST and LSUB (RFC 3501 6.3.8, 6.3.9). Names go out byte for byte as the account lists them. CHILDREN
 * (RFC 3348) is answered with the account's own attributes, or worked out where it gives none.
 */
import type { AccountHandle, ListedMailbox } from "../../account/account.ts";
import type { EncodedMailboxName } from "../../mail/ids.ts";
import { matchesPattern, parentsOf } from "../../mail/mailbox-pattern.ts";
import { type Command, define } from "../command.ts";
import { formatList, formatNstring, formatString, ok, untagged } from "../formatter.ts";
import { astring, listMailbox, space } from "../tokens.ts";

export const list = defineListing("LIST", "List completed.", async (account, signal) =>
  withChildrenAttributes(await account.mailboxes(signal)),
);

export const lsub = defineListing("LSUB", "Lsub completed.", (account, signal) =>
  account.subscriptions(signal),
);

type Listing = (account: AccountHandle, signal: AbortSignal) => Promise<readonly ListedMailbox[]>;

function defineListing(name: "LIST" | "LSUB", text: string, listing: Listing): Command {
  return define({
    name,
    state: "authenticated",
    parse: (cursor) => {
      space(cursor);
      const reference = astring(cursor);
      space(cursor);
      return { reference, pattern: listMailbox(cursor) };
    },
    run: async ({ state: { account }, args: { reference, pattern }, output, signal }) => {
      const found =
        pattern === "" && name === "LIST"
          ? [await rootOf(account, reference, signal)]
          : matching(await listing(account, signal), reference + pattern);
      for (const mailbox of found) {
        output.write(formatListed(name, mailbox));
        await output.flushed();
      }
      return ok(text);
    },
  });
}

/** `LIST reference ""`: the separator and the root of the reference, no mailbox. */
async function rootOf(
  account: AccountHandle,
  reference: string,
  signal: AbortSignal,
): Promise<ListedMailbox> {
  const { personal, otherUsers, shared } = await account.namespaces(signal);
  const all = [...(personal ?? []), ...(otherUsers ?? []), ...(shared ?? [])];
  const own = all
    .filter(({ prefix }) => prefix !== "" && reference.startsWith(prefix))
    .sort((a, b) => b.prefix.length - a.prefix.length)[0];
  const namespace = own ?? all[0];
  const root = (own?.prefix ?? "") as EncodedMailboxName;
  return { name: root, separator: namespace?.separator ?? null, attributes: ["\\Noselect"] };
}

/**
 * Names that match, and above them the levels that match though nobody lists them: `%` finds `a` where
 * there is only `a/b`; it cannot be selected.
 */
function matching(listed: readonly ListedMailbox[], pattern: string): readonly ListedMailbox[] {
  const seen = new Set<string>(listed.map(({ name }) => name));
  const found: ListedMailbox[] = [];
  for (const mailbox of listed) {
    if (pattern.endsWith("%")) {
      for (const parent of unlistedParents(mailbox)) {
        if (seen.has(parent.name)) continue;
        seen.add(parent.name);
        if (matchesPattern(parent.name, pattern, parent.separator)) found.push(parent);
      }
    }
    if (matchesPattern(mailbox.name, pattern, mailbox.separator)) found.push(mailbox);
  }
  return found;
}

function unlistedParents({ name, separator }: ListedMailbox): readonly ListedMailbox[] {
  return parentsOf(name, separator).map((parent) => ({
    name: parent,
    separator,
    attributes: ["\\Noselect", "\\HasChildren"],
  }));
}

const childAttributes = new Set(["\\haschildren", "\\hasnochildren", "\\noinferiors"]);

function withChildrenAttributes(listed: readonly ListedMailbox[]): readonly ListedMailbox[] {
  const parents = new Set<string>(listed.flatMap(({ name, separator }) => parentsOf(name, separator)));
  return listed.map((mailbox) => {
    if (mailbox.attributes.some((attribute) => childAttributes.has(attribute.toLowerCase()))) return mailbox;
    const worked = parents.has(mailbox.name) ? "\\HasChildren" : "\\HasNoChildren";
    return { ...mailbox, attributes: [...mailbox.attributes, worked] };
  });
}

function formatListed(command: string, { name, separator, attributes }: ListedMailbox): string {
  return untagged(`${command} ${formatList(attributes)} ${formatNstring(separator)} ${formatString(name)}`);
}
