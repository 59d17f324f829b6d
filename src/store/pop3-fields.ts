/**
 * P and O of a message's line in dovecot-uidlist: its UIDL and its place in the maildrop, so that Dovecot shows
 * both whatever its pop3_uidl_format is.
 */
import { inbox, type Uid, type Uidl } from "../mail/ids.ts";
import { isMade } from "../mail/made-uidl.ts";
import { parseUidlFormat, type UidlFormat } from "../mail/uidl-format.ts";
import { identityName } from "./maildir-name.ts";
import type { AccountStore, MailboxRecord } from "./store.ts";
import type { StoreContext } from "./store-context.ts";

/** The format of the first maildrop that was shown is the account's for good: its clients know those UIDLs. */
export const uidlFormatKey = "uidl-format";
/** The legacy server's own, where it was found out: should it have the last word again, UIDLs stay as they are. */
export const uidlRecipeKey = "maildrop-recipe";

export type Pop3FieldsOf = (uid: Uid) => readonly string[];

/** What POP3 clients know a message by. */
export interface Pop3Place {
  readonly uidl: Uidl | undefined;
  /** undefined for those that come last, by UID. */
  readonly position: number | undefined;
}

/** Where no maildrop was shown yet, the legacy server's, or else `configured`. */
export function keepUidlFormat(
  store: Pick<AccountStore, "readSetting" | "writeSetting">,
  configured: string,
): UidlFormat {
  const kept = store.readSetting(uidlFormatKey);
  const wanted = kept ?? store.readSetting(uidlRecipeKey) ?? configured;
  const format = parseUidlFormat(wanted);
  if (!format) throw new Error(`${wanted} is no UIDL format`);
  if (kept === undefined) store.writeSetting(uidlFormatKey, format.text);
  return format;
}

export function pop3FieldsOf(...of: Parameters<typeof pop3PlacesOf>): Pop3FieldsOf {
  const placeOf = pop3PlacesOf(...of);
  return (uid) => {
    const { uidl, position } = placeOf(uid);
    return [...uidlField(uidl), ...(position === undefined ? [] : [`O${position}`])];
  };
}

export function pop3PlacesOf(
  { maildrop, sidecar }: Pick<StoreContext, "maildrop" | "sidecar">,
  mailbox: MailboxRecord,
  /** It will be asked about most messages of the mailbox. */
  many: boolean,
): (uid: Uid) => Pop3Place {
  const entries = many ? maildrop.ofMailbox(mailbox.id) : undefined;
  const format = parseUidlFormat(sidecar.readSetting(uidlFormatKey) ?? "");
  const { id, name, uidValidity } = mailbox;
  return (uid) => {
    const entry = entries ? entries.get(uid) : maildrop.entryOf(id, uid);
    if (entry && !isMade(entry.uidl)) return entry;
    if ((name !== inbox && !entry) || !format || uidValidity === undefined) return noPlace;
    const fileName = identityName({ mailbox: id, uidValidity, uid });
    return { uidl: format.of({ uid, uidValidity, fileName, guid: fileName }), position: entry?.position };
  };
}

const noPlace: Pop3Place = { uidl: undefined, position: undefined };

/** A value cannot hold what would end it; POP3 allows nothing else (RFC 1939 7). */
function uidlField(uidl: Uidl | undefined): string[] {
  return uidl !== undefined && /^[\x21-\x7e]+$/.test(uidl) ? [`P${uidl}`] : [];
}
