/**
 * An account held in memory, for tests of the front ends on their own: mailboxes that tests fill, change
 * while sessions look at them, and take the legacy server away from.
 */
import type {
  AccountHandle,
  AccountNamespaces,
  ListedMailbox,
  Login,
  LoginRequest,
  MailboxChange,
  Need,
  OpenMailbox,
} from "../../src/account/account.ts";
import { MailError, OutcomeUnknown } from "../../src/errors.ts";
import type { CopiedUids } from "../../src/mail/copied-uids.ts";
import { withChange } from "../../src/mail/flag-change.ts";
import { type Flags, flagsOf, hasFlag } from "../../src/mail/flags.ts";
import { encodedMailboxName, modSeq, type Uid, uid, uidl, uidValidity } from "../../src/mail/ids.ts";
import { type InternalDate, parseInternalDate } from "../../src/mail/internal-date.ts";
import type { MessageContent, MessageMeta } from "../../src/mail/message.ts";
import { contentOf } from "../../src/mail/message-content.ts";
import { sendMessage } from "../../src/mail/send-message.ts";

export interface MemoryMessage {
  readonly uid: Uid;
  flags: Flags;
  readonly internalDate: InternalDate;
  readonly bytes: Buffer;
  readonly bodyStructure: string;
  /** In place of `bytes`: how the content is read. */
  readonly content: (() => MessageContent) | undefined;
}

export interface NewMessage {
  readonly text: string | Buffer;
  readonly flags?: readonly string[];
  readonly date?: string;
  readonly bodyStructure?: string;
  readonly uid?: number;
  readonly content?: () => MessageContent;
}

const plainStructure = '("TEXT" "PLAIN" NIL NIL NIL "7BIT" 7 1)';

export class MemoryMailbox {
  readonly name: string;
  readonly messages: MemoryMessage[] = [];
  readonly listeners = new Set<(change: MailboxChange) => void>();
  readonly recent = new Set<Uid>();
  /** Every call of `require`, `content` and `searchRemotely`, for tests of what is asked for. */
  readonly calls: string[] = [];
  uidNext = 1;
  /** SELECT answers READ-WRITE. */
  writable = false;
  complete = true;
  maildropIsOpen = false;
  /** UIDs of which nothing is here while the legacy server is away; `all` for everything. */
  unavailable: ReadonlySet<number> = new Set();
  foundRemotely: readonly number[] = [];
  openCount = 0;
  onPoll: () => void | Promise<void> = () => {};
  /** Set to hold back `require`. */
  gate: Promise<void> = Promise.resolve();

  constructor(name: string) {
    this.name = name;
  }

  add(message: NewMessage): Uid {
    const added = uid(message.uid ?? this.uidNext);
    this.uidNext = added + 1;
    const internalDate = parseInternalDate(message.date ?? "01-Feb-2024 10:20:30 +0100");
    if (!internalDate) throw new Error("bad date");
    this.messages.push({
      uid: added,
      flags: flagsOf(message.flags ?? []),
      internalDate,
      bytes: Buffer.from(message.text),
      bodyStructure: message.bodyStructure ?? plainStructure,
      content: message.content,
    });
    return added;
  }

  deliver(message: NewMessage): Uid {
    const added = this.add(message);
    this.recent.add(added);
    this.emit({ kind: "arrived", uids: [added] });
    return added;
  }

  expunge(...uids: number[]): void {
    const gone = new Set(uids);
    const kept = this.messages.filter((message) => !gone.has(message.uid));
    this.messages.splice(0, this.messages.length, ...kept);
    this.emit({ kind: "expunged", uids: uids.map(uid) });
  }

  setFlags(of: number, flags: readonly string[]): void {
    const message = this.messages.find((one) => one.uid === of);
    if (message) message.flags = flagsOf(flags);
    this.emit({ kind: "flags", uids: [uid(of)] });
  }

  emit(change: MailboxChange): void {
    for (const listener of [...this.listeners]) listener(change);
  }
}

export interface MemoryAccount {
  readonly login: Login;
  readonly logins: LoginRequest[];
  readonly listed: ListedMailbox[];
  readonly subscribed: ListedMailbox[];
  readonly openSessions: () => number;
  /** Messages that were received and not discarded. */
  readonly receivedCount: () => number;
  /** Changes of names as they came, `RENAME a b`. */
  readonly changes: readonly string[];
  mailbox(name: string): MemoryMailbox;
  addMailbox(name: string, attributes?: readonly string[], separator?: string | null): MemoryMailbox;
}

export function createMemoryAccount(user = "alice", password = "secret"): MemoryAccount {
  const boxes = new Map<string, MemoryMailbox>();
  const listed: ListedMailbox[] = [];
  const subscribed: ListedMailbox[] = [];
  const logins: LoginRequest[] = [];
  const changes: string[] = [];
  const received = new Set<Buffer[]>();
  let sessions = 0;

  const mailbox = (name: string): MemoryMailbox => {
    const box = boxes.get(name);
    if (!box) throw new MailError("NONEXISTENT", `Mailbox doesn't exist: ${name}`);
    return box;
  };
  const handle = (): AccountHandle => {
    const opened = new Set<OpenMailbox>();
    let released = false;
    sessions++;
    return {
      ended: () => undefined,
      user,
      namespaces: async (): Promise<AccountNamespaces> => ({
        personal: [{ prefix: "", separator: "/" }],
        otherUsers: null,
        shared: null,
      }),
      mailboxes: async () => listed,
      subscriptions: async () => subscribed,
      receive: async (sizeBytes) => {
        const pieces: Buffer[] = [];
        received.add(pieces);
        return {
          sizeBytes,
          write: async (bytes) => void pieces.push(bytes),
          open: () => contentOf(Buffer.concat(pieces)),
          discard: () => void received.delete(pieces),
        };
      },
      append: async (target, { incoming, flags }) => {
        if (target === "lost") throw new OutcomeUnknown(new Error("connection lost"));
        const content = incoming.open();
        const text = await content.read(0, content.sizeBytes);
        return { uidValidity: uidValidity(1234), uid: mailbox(target).deliver({ text, flags }) };
      },
      changeName: async (change) => {
        changes.push(`${change.kind} ${change.name}${change.kind === "RENAME" ? ` ${change.to}` : ""}`);
        if (change.name.startsWith("refused"))
          throw new MailError("ALREADYEXISTS", "The server behind says no");
        if (change.name === "lost") throw new OutcomeUnknown(new Error("connection lost"));
      },
      status: async (name) => {
        const box = mailbox(name);
        return {
          messages: box.messages.length,
          recent: box.recent.size,
          uidNext: uid(box.uidNext),
          uidValidity: uidValidity(1234),
          unseen: box.messages.filter(({ flags }) => !hasFlag(flags, "\\Seen")).length,
          highestModSeq: undefined,
        };
      },
      open: async (name, options) => {
        const box = mailbox(name);
        if (box.unavailable.has(-1))
          throw new MailError("UNAVAILABLE", "The mail server behind is not available");
        const open = openMailbox(box, mailbox, options.onChange);
        opened.add(open);
        return open;
      },
      maildrop: async () => {
        const box = mailbox("INBOX");
        if (box.maildropIsOpen) throw new MailError("INUSE", "The maildrop is in use by another session");
        box.maildropIsOpen = true;
        const messages = box.messages.map((message) => ({
          uidl: uidl(`uidl-${message.uid}`),
          sizeBytes: message.bytes.length,
        }));
        const uidOf = (listed: { readonly uidl: string }): Uid =>
          uid(Number(listed.uidl.slice("uidl-".length)));
        const find = (wanted: Uid): MemoryMessage | undefined =>
          box.messages.find((message) => message.uid === wanted);
        return {
          messages,
          read: async (listed, lines, take) => {
            const wanted = uidOf(listed);
            if (box.unavailable.has(wanted)) throw new MailError("UNAVAILABLE", "The mail server is away");
            const message = find(wanted);
            const content = message && (message.content?.() ?? contentOf(message.bytes));
            if (content) await sendMessage(content, lines, take).finally(() => content.close());
            return content !== undefined;
          },
          update: async ({ read, deleted }) => {
            for (const one of read) box.setFlags(uidOf(one), ["\\Seen"]);
            if (box.unavailable.has(-1)) throw new MailError("UNAVAILABLE", "The mail server is away");
            if (deleted.length > 0) box.expunge(...deleted.map(uidOf));
          },
          close: () => {
            box.maildropIsOpen = false;
          },
        };
      },
      release: () => {
        if (released) return;
        released = true;
        sessions--;
        for (const open of opened) open.close();
      },
    };
  };

  return {
    listed,
    subscribed,
    logins,
    changes,
    receivedCount: () => received.size,
    openSessions: () => sessions,
    mailbox,
    addMailbox: (name, attributes = [], separator = "/") => {
      const box = new MemoryMailbox(name);
      boxes.set(name, box);
      listed.push({ name: encodedMailboxName(name), separator, attributes });
      return box;
    },
    login: async (request) => {
      logins.push(request);
      if (request.user === "offline")
        throw new MailError("UNAVAILABLE", "The mail server behind is not available");
      if (request.user === "broken") throw new Error("a fault with secret details");
      if (request.user !== user || request.password.reveal() !== password) {
        throw new MailError("AUTHENTICATIONFAILED", "Authentication failed.");
      }
      return handle();
    },
  };
}

function openMailbox(
  box: MemoryMailbox,
  mailboxOf: (name: string) => MemoryMailbox,
  onChange: (change: MailboxChange) => void,
): OpenMailbox {
  box.listeners.add(onChange);
  box.openCount++;
  const find = (wanted: Uid): MemoryMessage | undefined =>
    box.messages.find((message) => message.uid === wanted);
  const missing = (uids: readonly Uid[]): boolean => uids.some((one) => box.unavailable.has(one));
  const away = (): MailError => new MailError("UNAVAILABLE", "The mail server behind is not available");
  const copyTo = (name: string, uids: readonly Uid[]): CopiedUids => {
    const target = mailboxOf(name);
    const messages = uids.map(find).filter((message) => message !== undefined);
    const to = messages.map(({ bytes, flags }) => target.deliver({ text: bytes, flags }));
    return { uidValidity: uidValidity(1234), from: uids, to };
  };
  const here = (wanted: Uid): MemoryMessage | undefined =>
    box.unavailable.has(wanted) ? undefined : find(wanted);
  return {
    name: encodedMailboxName(box.name),
    uidValidity: uidValidity(1234),
    get flags() {
      return [...systemFlags, ...keywordsIn(box.messages)];
    },
    permanentFlags: ["\\Deleted", "\\Seen", "\\*"],
    readOnly: !box.writable,
    get uids() {
      return box.messages.map((message) => message.uid);
    },
    get uidNext() {
      return uid(box.uidNext);
    },
    highestModSeq: undefined,
    get firstUnseen() {
      const index = box.messages.findIndex(({ flags }) => !hasFlag(flags, "\\Seen"));
      return index < 0 ? undefined : index + 1;
    },
    recent: box.recent,
    get complete() {
      return box.complete;
    },
    require: async (uids: readonly Uid[], need: Need) => {
      box.calls.push(`require ${need} ${uids.length}`);
      await box.gate;
      if (missing(uids)) throw away();
    },
    flagsOf: (wanted) => here(wanted)?.flags,
    modSeqOf: (wanted) => here(wanted) && modSeq(0n),
    internalDateOf: (wanted) => here(wanted)?.internalDate,
    meta: (wanted): MessageMeta | undefined => {
      const message = here(wanted);
      return message && { ...message, sizeBytes: message.bytes.length, modSeq: modSeq(0n) };
    },
    header: (wanted) => {
      const bytes = here(wanted)?.bytes;
      const end = bytes?.indexOf("\r\n\r\n") ?? -1;
      return end < 0 ? bytes : bytes?.subarray(0, end + 4);
    },
    structure: (wanted, extensible) => {
      const structure = here(wanted)?.bodyStructure;
      return structure === undefined ? undefined : Buffer.from(extensible ? structure : plainStructure);
    },
    content: async (wanted) => {
      box.calls.push(`content ${wanted}`);
      if (missing([wanted])) throw away();
      const message = find(wanted);
      if (!message) return undefined;
      return message.content?.() ?? contentOf(message.bytes);
    },
    prefetch: (uids) => {
      box.calls.push(`prefetch ${uids.length}`);
    },
    searchRemotely: async (criteria, charset) => {
      box.calls.push(`search ${charset ?? "-"} ${criteria.map((piece) => piece.toString("utf8")).join("|")}`);
      return box.foundRemotely.map(uid);
    },
    store: async (uids, change) => {
      if (missing(uids)) throw away();
      for (const one of uids) {
        const message = find(one);
        if (message) message.flags = withChange(message.flags, change);
      }
      box.emit({ kind: "flags", uids });
      return [];
    },
    requireChanged: async () => undefined,
    sortRemotely: async () => undefined,
    threadRemotely: async () => undefined,
    expungedSince: async () => undefined,
    expunge: async (uids) => {
      const isWanted = ({ uid: one, flags }: MemoryMessage): boolean =>
        hasFlag(flags, "\\Deleted") && (uids?.includes(one) ?? true);
      box.expunge(...box.messages.filter(isWanted).map((message) => message.uid));
    },
    copy: async (uids, target) => copyTo(target, uids),
    move: async (uids, target) => {
      const copied = copyTo(target, uids);
      box.expunge(...uids);
      return copied;
    },
    poll: async () => box.onPoll(),
    close: () => {
      if (box.listeners.delete(onChange)) box.openCount--;
    },
  };
}

const systemFlags = ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"];

function keywordsIn(messages: readonly MemoryMessage[]): readonly string[] {
  return [...new Set(messages.flatMap(({ flags }) => flags).filter((name) => !name.startsWith("\\")))];
}
