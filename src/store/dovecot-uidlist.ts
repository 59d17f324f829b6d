/**
 * dovecot-uidlist, version 3: which UID every file of a mailbox has. One bad line makes Dovecot throw
 * the whole file away, so `format` writes only what it can prove good: UIDs ascending, N above them all.
 *
 *   3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1
 *   25006 :1276528487.M364837P9451.host,S=1355,W=1394
 */
import { type Uid, type UidValidity, uid, uidValidity } from "../mail/ids.ts";

export interface UidlistHeader {
  readonly uidValidity: UidValidity;
  readonly uidNext: Uid;
  /** 32 hex digits; a mailbox keeps its GUID for life. */
  readonly guid: string;
  /** Fields of other keys, `P…` for instance, kept as they are. */
  readonly otherFields: readonly string[];
}

export interface UidlistRecord {
  readonly uid: Uid;
  /** `P<uidl>`, `O<pop3 order>`, …: a capital letter and a value without space. */
  readonly fields: readonly string[];
  /** Base name, without `:2,` and flags. */
  readonly fileName: string;
}

/** Dovecot's own bound: 2^32-1 is not a UID to it. */
const maxDovecotUid = 0xffff_fffe;

export function formatUidlistHeader(header: UidlistHeader): string {
  const { uidValidity: validity, uidNext, guid, otherFields } = header;
  return `${["3", `V${validity}`, `N${uidNext}`, `G${guid}`, ...otherFields].join(" ")}\n`;
}

export function formatUidlistRecord(record: UidlistRecord): string {
  return `${[record.uid, ...record.fields].join(" ")} :${record.fileName}\n`;
}

/** The header line, with or without its end; undefined where it is not one of version 3. */
export function parseUidlistHeader(line: string): UidlistHeader | undefined {
  const [version, ...fields] = line.trimEnd().split(" ");
  if (version !== "3") return undefined;
  const value = (key: string): string | undefined => fields.find((field) => field[0] === key)?.slice(1);
  const validity = Number(value("V"));
  const next = Number(value("N"));
  const guid = value("G") ?? "";
  if (!isPositive(validity) || !isPositive(next) || !/^[0-9a-f]{32}$/.test(guid)) return undefined;
  const otherFields = fields.filter((field) => !/^[VNG]/.test(field));
  return { uidValidity: uidValidity(validity), uidNext: uid(next), guid, otherFields };
}

export interface Uidlist {
  readonly header: UidlistHeader;
  readonly records: readonly UidlistRecord[];
}

/** undefined where Dovecot would call it corrupt. */
export function parseUidlist(text: string): Uidlist | undefined {
  const lines = text.split("\n");
  const header = parseUidlistHeader(lines[0] ?? "");
  if (!header || lines.pop() !== "") return undefined;
  const records: UidlistRecord[] = [];
  let last = 0;
  for (const line of lines.slice(1)) {
    const record = parseUidlistRecord(line);
    if (!record || record.uid <= last || record.uid >= header.uidNext) return undefined;
    last = record.uid;
    records.push(record);
  }
  return { header, records };
}

export function formatUidlist({ header, records }: Uidlist): string {
  return formatUidlistHeader(header) + records.map(formatUidlistRecord).join("");
}

/** A line without its end; undefined where Dovecot would call it corrupt. */
export function parseUidlistRecord(line: string): UidlistRecord | undefined {
  const match = /^(\d{1,10})((?: [A-Z][^ ]*)*) :([^/]+)$/.exec(line);
  if (!match?.[3]) return undefined;
  const number = Number(match[1]);
  if (number < 1 || number > maxDovecotUid) return undefined;
  const fields = (match[2] ?? "").split(" ").filter((field) => field !== "");
  return { uid: uid(number), fields, fileName: match[3] };
}

function isPositive(value: number): boolean {
  return Number.isInteger(value) && value > 0 && value <= 0xffff_ffff;
}
