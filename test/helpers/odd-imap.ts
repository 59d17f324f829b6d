/**
 * A small scripted IMAP server, right in all it says unless a test says otherwise: each function of `Manners` is one
 * thing that old servers get wrong. On the wire everything is latin1 text; it has no CONDSTORE, and one user's mail.
 */
import type { Socket } from "node:net";
import { serveTcp } from "./tcp-server.ts";

export interface OddMessage {
  readonly uid: number;
  readonly body: Buffer;
  readonly flags: Set<string>;
  readonly date: string;
}

export interface OddMailbox {
  uidValidity: number;
  uidNext: number;
  /** By UID, ascending. */
  messages: OddMessage[];
  attributes: string;
}

export interface OddConnection {
  readonly number: number;
  readonly say: (text: string) => void;
  readonly end: () => void;
  /** What was said so far is on its way: for who has much to say. */
  readonly takesMore: () => boolean;
  readonly isOver: () => boolean;
  selected: string | undefined;
  /** The UIDs that the client has been told of. */
  known: number[];
}

export interface OddCall {
  readonly connection: OddConnection;
  readonly tag: string;
  /** In upper case, `UID FETCH` as one. */
  readonly name: string;
  /** Literals stand in it as `{}`. */
  readonly args: string;
  readonly literals: readonly string[];
}

export interface Manners {
  readonly capabilities: string;
  /** True: the command has been answered. */
  readonly answer: (call: OddCall, server: OddImap) => boolean;
  /** One FETCH item with its value, for example `UID 3`; undefined where it is left out. */
  readonly item: (message: OddMessage, what: string, connection: OddConnection) => string | undefined;
  /** One untagged FETCH, or several. */
  readonly fetched: (number: number, items: readonly string[], message: OddMessage) => string;
  readonly listed: (names: readonly string[], verb: "LIST" | "LSUB") => readonly string[];
  readonly listLine: (name: string, verb: "LIST" | "LSUB", mailbox: OddMailbox) => string;
  readonly selectLines: (mailbox: OddMailbox) => readonly string[];
  readonly statusItems: (mailbox: OddMailbox) => string;
  readonly searched: (uids: readonly number[]) => readonly number[];
  /** All that goes out. "end": the connection is closed in its place. */
  readonly sent: (text: string, connection: OddConnection) => string | "end";
}

export interface OddImap {
  readonly port: number;
  readonly mailboxes: Map<string, OddMailbox>;
  /** What was asked, without tags. */
  readonly log: string[];
  readonly connections: () => number;
  /** From now on. */
  behave(manners: Partial<Manners>): void;
  close(): Promise<void>;
}

export const oddPassword = "correct horse";

export function oddMessage(uid: number, body?: string | Buffer, flags: readonly string[] = []): OddMessage {
  const text =
    body ??
    `From: Anna <anna@example.net>\r\nTo: bert@example.org\r\nSubject: Letter ${uid}\r\nDate: Tue, 12 Mar 2019 08:15:30 +0100\r\nMessage-ID: <letter${uid}@example.net>\r\n\r\nText number ${uid}\r\n`;
  return {
    uid,
    body: typeof text === "string" ? Buffer.from(text) : text,
    flags: new Set(flags),
    date: "12-Mar-2019 08:15:30 +0100",
  };
}

export function oddMailbox(
  messages: readonly OddMessage[],
  uidValidity = 1_000,
  attributes = "",
): OddMailbox {
  return { uidValidity, attributes, messages: [...messages], uidNext: (messages.at(-1)?.uid ?? 0) + 1 };
}

/** Messages 1 to `count`. */
export function upTo(count: number, uidValidity?: number): OddMailbox {
  return oddMailbox(
    Array.from({ length: count }, (_, index) => oddMessage(index + 1)),
    uidValidity,
  );
}

const rightManners: Manners = {
  capabilities: "IMAP4rev1 NAMESPACE UIDPLUS MOVE IDLE UNSELECT LITERAL+",
  answer: () => false,
  item: rightItem,
  fetched: (number, items) => `* ${number} FETCH (${items.join(" ")})\r\n`,
  listed: (names) => names,
  listLine: (name, verb, { attributes }) => `* ${verb} (${attributes}) "/" ${quoted(name)}\r\n`,
  selectLines: ({ messages, uidValidity, uidNext }) => [
    "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n",
    "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)] ok\r\n",
    `* ${messages.length} EXISTS\r\n`,
    "* 0 RECENT\r\n",
    `* OK [UIDVALIDITY ${uidValidity}] ok\r\n`,
    `* OK [UIDNEXT ${uidNext}] ok\r\n`,
  ],
  statusItems: ({ messages, uidNext, uidValidity }) => {
    const unseen = messages.filter(({ flags }) => !flags.has("\\Seen")).length;
    return `MESSAGES ${messages.length} UIDNEXT ${uidNext} UIDVALIDITY ${uidValidity} UNSEEN ${unseen}`;
  },
  searched: (uids) => uids,
  sent: (text) => text,
};

export function rightItem({ uid, flags, date, body }: OddMessage, what: string): string | undefined {
  const text = body.toString("latin1");
  const headerEnd = text.indexOf("\r\n\r\n") + 4;
  if (what === "UID") return `UID ${uid}`;
  if (what === "FLAGS") return `FLAGS (${[...flags].join(" ")})`;
  if (what === "INTERNALDATE") return `INTERNALDATE "${date}"`;
  if (what === "RFC822.SIZE") return `RFC822.SIZE ${body.length}`;
  if (/^BODY(\.PEEK)?\[\]$/.test(what)) return `BODY[] ${literal(text)}`;
  if (/^BODY(\.PEEK)?\[HEADER\]$/.test(what)) return `BODY[HEADER] ${literal(text.slice(0, headerEnd))}`;
  if (what !== "BODY" && what !== "BODYSTRUCTURE") return undefined;
  const content = text.slice(headerEnd);
  const tail = what === "BODY" ? "" : " NIL NIL NIL NIL";
  const lines = content.split("\n").length - 1;
  return `${what} ("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" ${content.length} ${lines}${tail})`;
}

export function literal(text: string): string {
  return `{${text.length}}\r\n${text}`;
}

function quoted(name: string): string {
  return `"${name.replace(/["\\]/g, "\\$&")}"`;
}

export async function startOddImap(
  mailboxes: Readonly<Record<string, OddMailbox>>,
  manners: Partial<Manners> = {},
): Promise<OddImap> {
  let connections = 0;
  const log: string[] = [];
  const all = new Map(Object.entries(mailboxes));
  const behaviour = { ...rightManners, ...manners };
  const { port, close } = await serveTcp((socket) => serve(socket, ++connections));
  const server: OddImap = {
    port,
    close,
    log,
    mailboxes: all,
    connections: () => connections,
    behave: (changes) => void Object.assign(behaviour, changes),
  };
  const serve = (socket: Socket, number: number): void => {
    const connection: OddConnection = {
      number,
      selected: undefined,
      known: [],
      end: () => socket.destroy(),
      takesMore: () => !socket.writableNeedDrain,
      isOver: () => socket.destroyed,
      say(text) {
        if (socket.destroyed || text === "") return;
        const sent = behaviour.sent(text, connection);
        if (sent === "end") socket.destroy();
        else socket.write(Buffer.from(sent, "latin1"));
      },
    };
    const run = commandRunner(server, behaviour, connection);
    splitCommands(socket, connection, (tag, name, args, literals) => {
      log.push(`${name} ${args}`.trim());
      run({ connection, tag, name, args, literals });
    });
    connection.say(`* OK [CAPABILITY ${behaviour.capabilities}] ready\r\n`);
  };
  return server;
}

type OnCommand = (tag: string, name: string, args: string, literals: readonly string[]) => void;

/** Lines with their literals; IDLE's DONE is a command without a tag. */
function splitCommands(socket: Socket, { say }: OddConnection, onCommand: OnCommand): void {
  let buffered = "";
  let line = "";
  let literals: string[] = [];
  let missing = -1;
  const takeLine = (): boolean => {
    const end = buffered.indexOf("\r\n");
    if (end < 0) return false;
    const text = buffered.slice(0, end);
    buffered = buffered.slice(end + 2);
    const announced = /\{(\d+)(\+?)\}$/.exec(text);
    if (announced) {
      line += `${text.slice(0, announced.index)}{}`;
      missing = Number(announced[1]);
      if (announced[2] === "") say("+ go on\r\n");
      return true;
    }
    const [, tag = "", name = "", args = ""] =
      /^(\S+)(?: ((?:UID )?[A-Za-z]+)(?: (.*))?)?$/is.exec(line + text) ?? [];
    const taken = literals;
    [line, literals] = ["", []];
    onCommand(tag, name.toUpperCase(), args, taken);
    return true;
  };
  const takeLiteral = (): boolean => {
    if (buffered.length < missing) return false;
    literals.push(buffered.slice(0, missing));
    buffered = buffered.slice(missing);
    missing = -1;
    return true;
  };
  socket.on("data", (chunk) => {
    buffered += chunk.toString("latin1");
    while (missing >= 0 ? takeLiteral() : takeLine());
  });
}

type Answers = Readonly<Record<string, (call: OddCall) => string>>;

/** Each answer is its text up to the tagged line's status: `untagged…OK text`. */
function commandRunner(
  server: OddImap,
  manners: Manners,
  connection: OddConnection,
): (call: OddCall) => void {
  const { mailboxes } = server;
  let idleTag: string | undefined;
  const box = (): OddMailbox => mailboxes.get(connection.selected ?? "") ?? oddMailbox([]);
  const news = (): string => {
    if (connection.selected === undefined) return "";
    const now = box().messages.map(({ uid }) => uid);
    let told = "";
    for (const [index, uid] of [...connection.known.entries()].reverse())
      if (!now.includes(uid)) told += `* ${index + 1} EXPUNGE\r\n`;
    const left = connection.known.filter((uid) => now.includes(uid));
    if (now.length > left.length) told += `* ${now.length} EXISTS\r\n`;
    connection.known = now;
    return told;
  };
  const nameIn = ({ args, literals }: OddCall, index = 0): string => {
    const words = args.match(/"(?:[^"\\]|\\.)*"|\{\}|[^ "]+/g) ?? [];
    const word = words[index] ?? "";
    const before = words.slice(0, index).filter((one) => one === "{}").length;
    const name =
      word === "{}" ? (literals[before] ?? "") : word.replace(/^"|"$/g, "").replace(/\\(.)/g, "$1");
    return name.toUpperCase() === "INBOX" ? "INBOX" : name;
  };
  const select = (call: OddCall, mode: string): string => {
    const name = nameIn(call);
    const mailbox = mailboxes.get(name);
    connection.selected = mailbox ? name : undefined;
    if (!mailbox) return "NO no such mailbox";
    connection.known = mailbox.messages.map(({ uid }) => uid);
    return `${manners.selectLines(mailbox).join("")}OK [${mode}] selected`;
  };
  const names = (verb: "LIST" | "LSUB"): string =>
    `${manners
      .listed([...mailboxes.keys()], verb)
      .map((name) => manners.listLine(name, verb, mailboxes.get(name) ?? oddMailbox([])))
      .join("")}OK done`;
  const picked = (set: string): OddMessage[] => {
    const ranges = rangesOf(set, box().messages.at(-1)?.uid ?? 0);
    return box().messages.filter(({ uid }) => ranges.some(([from, to]) => uid >= from && uid <= to));
  };
  const numbered = (set: string): OddMessage[] => {
    const ranges = rangesOf(set, box().messages.length);
    return box().messages.filter((_, index) => ranges.some(([from, to]) => index + 1 >= from && index < to));
  };
  const fetch = (chosen: readonly OddMessage[], rest: string): string => {
    const wanted = rest.split("(CHANGEDSINCE")[0]?.match(/BODY(?:\.PEEK)?\[[^\]]*\]|[A-Z0-9.]+/gi) ?? [];
    const items = [...new Set(["UID", ...wanted.map((one) => one.toUpperCase())])];
    const { messages } = box();
    return chosen
      .map((message) => {
        const values = items.map((what) => manners.item(message, what, connection));
        return manners.fetched(
          messages.indexOf(message) + 1,
          values.filter((value) => value !== undefined),
          message,
        );
      })
      .join("");
  };
  const store = (set: string, rest: string): string => {
    const [, sign = "", silent, listed = ""] = /([+-]?)FLAGS(\.SILENT)? \(?([^)]*)\)?/i.exec(rest) ?? [];
    let told = "";
    for (const message of picked(set)) {
      if (sign === "") message.flags.clear();
      for (const flag of listed.split(" ").filter((one) => one !== ""))
        message.flags[sign === "-" ? "delete" : "add"](flag);
      if (silent === undefined)
        told += `* ${box().messages.indexOf(message) + 1} FETCH (UID ${message.uid} FLAGS (${[...message.flags].join(" ")}))\r\n`;
    }
    return `${told}OK stored`;
  };
  const copy = (call: OddCall): { code: string; copied: readonly number[] } | undefined => {
    const target = mailboxes.get(nameIn(call, 1));
    if (!target) return undefined;
    const messages = picked(call.args);
    const made = messages.map(({ body, flags, date }) => ({
      uid: target.uidNext++,
      body,
      date,
      flags: new Set(flags),
    }));
    target.messages.push(...made);
    const copied = messages.map(({ uid }) => uid);
    const code =
      made.length === 0
        ? ""
        : `[COPYUID ${target.uidValidity} ${copied.join()} ${made.map(({ uid }) => uid)}] `;
    return { code, copied };
  };
  const expunge = (isGone: (message: OddMessage) => boolean): string => {
    box().messages = box().messages.filter((message) => !isGone(message));
    return news();
  };
  const append = (call: OddCall): string => {
    const mailbox = mailboxes.get(nameIn(call));
    if (!mailbox) return "NO [TRYCREATE] no such mailbox";
    const flags = /\(([^)]*)\)/.exec(call.args)?.[1] ?? "";
    const date = /"([ \d]\d-\w{3}-\d{4} [^"]*)"/.exec(call.args)?.[1] ?? "01-Jan-2020 00:00:00 +0000";
    const uid = mailbox.uidNext++;
    mailbox.messages.push({
      uid,
      date,
      body: Buffer.from(call.literals.at(-1) ?? "", "latin1"),
      flags: new Set(flags.split(" ").filter((one) => one !== "")),
    });
    return `${news()}OK [APPENDUID ${mailbox.uidValidity} ${uid}] appended`;
  };
  const rename = (call: OddCall): string => {
    const [from, to] = [nameIn(call), nameIn(call, 1)];
    for (const [name, mailbox] of [...mailboxes]) {
      if (name !== from && !name.startsWith(`${from}/`)) continue;
      mailboxes.delete(name);
      mailboxes.set(to + name.slice(from.length), mailbox);
    }
    return "OK renamed";
  };
  const setAnd = (args: string): [string, string] => {
    const space = args.indexOf(" ");
    return [args.slice(0, space), args.slice(space + 1)];
  };
  const leave = (): string => {
    connection.selected = undefined;
    return "OK closed";
  };
  const isDeleted = ({ flags }: OddMessage): boolean => flags.has("\\Deleted");
  const answers: Answers = {
    CAPABILITY: () => `* CAPABILITY ${manners.capabilities}\r\nOK done`,
    ID: () => "* ID NIL\r\nOK done",
    NOOP: () => `${news()}OK done`,
    CHECK: () => `${news()}OK done`,
    ENABLE: () => "* ENABLED\r\nOK done",
    NAMESPACE: () => '* NAMESPACE (("" "/")) NIL NIL\r\nOK done',
    LOGIN: ({ args, literals }) =>
      [args, ...literals].some((one) => one.includes(oddPassword))
        ? `OK [CAPABILITY ${manners.capabilities}] in`
        : "NO [AUTHENTICATIONFAILED] no",
    LOGOUT: () => "* BYE bye\r\nOK out",
    LIST: () => names("LIST"),
    LSUB: () => names("LSUB"),
    CREATE: (call) => {
      mailboxes.set(nameIn(call), oddMailbox([], 2_000 + mailboxes.size));
      return "OK created";
    },
    DELETE: (call) => (mailboxes.delete(nameIn(call)) ? "OK deleted" : "NO no such mailbox"),
    RENAME: rename,
    SUBSCRIBE: () => "OK done",
    UNSUBSCRIBE: () => "OK done",
    STATUS: (call) => {
      const mailbox = mailboxes.get(nameIn(call));
      if (!mailbox) return "NO no such mailbox";
      return `* STATUS ${quoted(nameIn(call))} (${manners.statusItems(mailbox)})\r\nOK done`;
    },
    SELECT: (call) => select(call, "READ-WRITE"),
    EXAMINE: (call) => select(call, "READ-ONLY"),
    CLOSE: leave,
    UNSELECT: leave,
    FETCH: ({ args }) => `${fetch(numbered(args), setAnd(args)[1])}OK fetched`,
    "UID FETCH": ({ args }) => `${fetch(picked(args), setAnd(args)[1])}${news()}OK fetched`,
    "UID SEARCH": ({ args }) => {
      const found = box().messages.filter((one) => !args.includes("DELETED") || isDeleted(one));
      const uids = manners.searched(found.map(({ uid }) => uid));
      return `* SEARCH${uids.map((uid) => ` ${uid}`).join("")}\r\nOK searched`;
    },
    "UID STORE": ({ args }) => store(...setAnd(args)),
    "UID COPY": (call) => {
      const done = copy(call);
      return done ? `OK ${done.code}copied` : "NO [TRYCREATE] no such mailbox";
    },
    "UID MOVE": (call) => {
      const done = copy(call);
      if (!done) return "NO [TRYCREATE] no such mailbox";
      return `* OK ${done.code}moved\r\n${expunge(({ uid }) => done.copied.includes(uid))}OK done`;
    },
    EXPUNGE: () => `${expunge(isDeleted)}OK done`,
    "UID EXPUNGE": ({ args }) => {
      const gone = new Set(picked(args));
      return `${expunge((message) => gone.has(message) && isDeleted(message))}OK done`;
    },
    APPEND: append,
  };
  return (call) => {
    if (idleTag !== undefined && call.tag.toUpperCase() === "DONE") {
      connection.say(`${news()}${idleTag} OK done\r\n`);
      idleTag = undefined;
      return;
    }
    if (manners.answer(call, server)) return;
    if (call.name === "IDLE") {
      idleTag = call.tag;
      connection.say(`+ idling\r\n${news()}`);
      return;
    }
    const answer = answers[call.name]?.(call) ?? "BAD unknown command";
    const status = answer.search(/(?:OK|NO|BAD) [^\r\n]*$/);
    connection.say(`${answer.slice(0, status)}${call.tag} ${answer.slice(status)}\r\n`);
    if (call.name === "LOGOUT") connection.end();
  };
}

/** Of a sequence set; `*` is `last`. */
function rangesOf(set: string, last: number): [number, number][] {
  const numberOf = (text: string): number => (text === "*" ? last : Number(text));
  return (set.split(" ")[0] ?? "").split(",").map((part) => {
    const [from = "", to = from] = part.split(":");
    const ends = [numberOf(from), numberOf(to)];
    return [Math.min(...ends), Math.max(...ends)];
  });
}
