/**
 * P and O of a message's line in dovecot-uidlist: its UIDL and its place in the maildrop, so that Dovecot shows
 * both whatever its pop3_uidl_format is.
 */
import { inbox, type Uid, type Uidl } from "../mail/ids.ts";
import { parseUidlFormat } from "../mail/uidl-format.ts";
import { identityName } from "./maildir-name.ts";
import type { MailboxRecord } from "./store.ts";
import type { StoreContext } from "./store-context.ts";

/** The format of the first maildrop that was shown is the account's for good: its clients know those UIDLs. */
export const uidlFormatKey = "uidl-format";

export type Pop3FieldsOf = (uid: Uid) => readonly string[];

export function pop3FieldsOf(
  { maildrop, sidecar }: Pick<StoreContext, "maildrop" | "sidecar">,
  mailbox: MailboxRecord,
  /** It will be asked about most messages of the mailbox. */
  many: boolean,
): Pop3FieldsOf {
  const entries = many ? maildrop.ofMailbox(mailbox.id) : undefined;
  const format = parseUidlFormat(sidecar.readSetting(uidlFormatKey) ?? "");
  const { id, name, uidValidity } = mailbox;
  return (uid) => {
    const entry = entries ? entries.get(uid) : maildrop.entryOf(id, uid);
    if (entry) return [...uidlField(entry.uidl), `O${entry.position}`];
    if (name !== inbox || !format || uidValidity === undefined) return [];
    const fileName = identityName({ mailbox: id, uidValidity, uid });
    return uidlField(format.of({ uid, uidValidity, fileName, guid: fileName }));
  };
}

/** A value cannot hold what would end it; POP3 allows nothing else (RFC 1939 7). */
function uidlField(uidl: Uidl | undefined): string[] {
  return uidl !== undefined && /^[\x21-\x7e]+$/.test(uidl) ? [`P${uidl}`] : [];
}
