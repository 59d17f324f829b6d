/** A POP3 server of the old kind: it shows messages of one's choice, and changes their headers as it does. */
import { serveTcp, type TcpServer } from "./tcp-server.ts";

export interface ServedMessage {
  readonly uidl: string;
  /** CRLF line ends. */
  readonly bytes: Buffer;
}

export interface AlteringPop3Options {
  /** CAPA's lines; `TOP` is known only where it is among them. Default: no PIPELINING. */
  readonly capabilities?: readonly string[];
  /** After so many refusals in a row it hangs up; default: never. */
  readonly patience?: number;
  /** What CAPA tells as LOGIN-DELAY (RFC 2449 6.5), and is kept. */
  readonly loginDelaySeconds?: number;
  /** In place of the messages' own UIDLs, by index and by the session, from 1. */
  readonly uidlOf?: (index: number, session: number) => string;
  /** It sends messages as they are, with no fields of its own. */
  readonly isPlain?: boolean;
  /** What LIST tells of a message, in place of its size. */
  readonly sizeOf?: (text: string) => number;
  /** The text as it goes out, in place of dot-stuffing. */
  readonly stuff?: (text: string) => string;
  /** What RETR shows of it, by the session. */
  readonly textOf?: (text: string, index: number, session: number) => string;
}

export interface AlteringPop3 extends TcpServer {
  readonly host: string;
  /** What the next session shows; DELE and QUIT remove from it. */
  readonly messages: ServedMessage[];
  /** Answers PASS with this instead of +OK. */
  refusal: string | undefined;
  /** How many logins came too soon after another. */
  readonly tooSoon: number;
  /** UIDL is answered with -ERR. */
  refuseUidl: boolean;
  /** Commands that it takes and does not answer. */
  readonly stalls: Set<string>;
  /** How often a command came, since the last `forget()`. */
  count(command: string): number;
  forget(): void;
}

export async function startAlteringPop3(
  messages: readonly ServedMessage[],
  {
    capabilities = ["TOP", "UIDL", "USER"],
    patience = Number.POSITIVE_INFINITY,
    loginDelaySeconds = 0,
    ...manners
  }: AlteringPop3Options = {},
): Promise<AlteringPop3> {
  const counts = new Map<string, number>();
  let sessions = 0;
  let tooSoon = 0;
  let lastLogin = Number.NEGATIVE_INFINITY;
  const told = loginDelaySeconds > 0 ? [...capabilities, `LOGIN-DELAY ${loginDelaySeconds}`] : capabilities;
  const refused = (verb: string): string | undefined => {
    if (verb !== "PASS") return undefined;
    const isTooSoon = performance.now() - lastLogin < loginDelaySeconds * 1_000;
    if (isTooSoon) tooSoon++;
    else lastLogin = performance.now();
    return isTooSoon ? "-ERR [LOGIN-DELAY] minimum time between mail checks" : undefined;
  };
  const server = await serveTcp((socket) => {
    const session = ++sessions;
    const answer = sessionOf(pop3, told, manners, session);
    let received = "";
    let refusals = 0;
    socket.write("+OK ready\r\n");
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
      for (let end = received.indexOf("\r\n"); end >= 0; end = received.indexOf("\r\n")) {
        const line = received.slice(0, end);
        received = received.slice(end + 2);
        const [verb = "", ...args] = line.split(" ");
        counts.set(verb, (counts.get(verb) ?? 0) + 1);
        if (pop3.stalls.has(verb)) continue;
        const answered = refused(verb) ?? answer(verb, args);
        refusals = answered.startsWith("-ERR") ? refusals + 1 : 0;
        socket.write(`${answered}\r\n`, "latin1");
        if (verb === "QUIT" || refusals >= patience) socket.end();
      }
    });
  });
  const pop3: AlteringPop3 = {
    host: "127.0.0.1",
    ...server,
    messages: [...messages],
    refusal: undefined,
    get tooSoon() {
      return tooSoon;
    },
    refuseUidl: false,
    stalls: new Set(),
    count: (command) => counts.get(command) ?? 0,
    forget: () => counts.clear(),
  };
  return pop3;
}

/** Answers one session's commands, without the last line end. */
function sessionOf(
  pop3: AlteringPop3,
  capabilities: readonly string[],
  { uidlOf, isPlain, sizeOf, stuff = stuffed, textOf }: AlteringPop3Options,
  session: number,
): (verb: string, args: readonly string[]) => string {
  const shown = pop3.messages.map((served, index) => ({
    served,
    uidl: uidlOf?.(index, session) ?? served.uidl,
    text: isPlain ? served.bytes.toString("latin1") : altered(served.bytes, served.uidl),
  }));
  const deleted = new Set<number>();
  const list = (
    of: (message: (typeof shown)[number]) => string | number,
    only: (typeof shown)[number] | undefined,
    index: number,
  ): string => {
    if (only) return `+OK ${index + 1} ${of(only)}`;
    if (!Number.isNaN(index)) return "-ERR no such message";
    return lines(shown.flatMap((message, at) => (deleted.has(at) ? [] : `${at + 1} ${of(message)}`)));
  };
  return (verb, [first, second]) => {
    const index = Number(first) - 1;
    const message = deleted.has(index) ? undefined : shown[index];
    switch (verb) {
      case "CAPA":
        return lines(capabilities);
      case "PASS":
        return pop3.refusal ?? "+OK";
      case "USER":
      case "NOOP":
        return "+OK";
      case "STAT":
        return `+OK ${shown.length} ${shown.reduce((sum, { text }) => sum + text.length, 0)}`;
      case "LIST":
        return list(({ text }) => sizeOf?.(text) ?? text.length, message, index);
      case "UIDL":
        if (!capabilities.includes("UIDL") || pop3.refuseUidl) return "-ERR what?";
        return list(({ uidl }) => uidl, message, index);
      case "RETR":
        if (!message) return "-ERR no such message";
        return `+OK\r\n${stuff(textOf?.(message.text, index, session) ?? message.text)}.`;
      case "TOP":
        if (!message || !capabilities.includes("TOP")) return "-ERR what?";
        return `+OK\r\n${stuff(firstLines(message.text, Number(second)))}.`;
      case "DELE":
        if (!message) return "-ERR no such message";
        deleted.add(index);
        return "+OK";
      case "QUIT": {
        const gone = new Set(shown.flatMap(({ served }, at) => (deleted.has(at) ? [served] : [])));
        const left = pop3.messages.filter((message) => !gone.has(message));
        pop3.messages.splice(0, Number.POSITIVE_INFINITY, ...left);
        return "+OK";
      }
      default:
        return "-ERR what?";
    }
  };
}

/**
 * As the server shows it (latin1): fields folded elsewhere, `?` for 8-bit characters of the header, and fields of its
 * own, as qpopper and others write them.
 */
export function altered(bytes: Buffer, uidl: string): string {
  const text = bytes.toString("latin1");
  const end = text.indexOf("\r\n\r\n") + 2;
  const header = text
    .slice(0, end)
    .replace(/\r\n[ \t]+/g, " ")
    .replace(/; |, /g, (separator) => `${separator.trim()}\r\n        `)
    .replace(/[^\x00-\x7f]/g, "?");
  return `${header}X-UIDL: ${uidl}\r\nStatus: RO\r\nX-Status: A\r\n${text.slice(end)}`;
}

function firstLines(text: string, count: number): string {
  const end = text.indexOf("\r\n\r\n") + 4;
  const body = text.slice(end).split("\r\n").slice(0, count);
  return text.slice(0, end) + body.map((line) => `${line}\r\n`).join("");
}

const lines = (all: readonly string[]): string => ["+OK", ...all, "."].join("\r\n");

/** RFC 1939 3; `text` ends with a line end. */
const stuffed = (text: string): string => text.replace(/(^|\n)\./g, "$1..");
