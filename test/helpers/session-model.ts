/**
 * What a client knows of its selected mailbox by what it was told, and whether it may be told so: holds each
 * untagged line against RFC 3501 2.3.2, 5.2, 7.3 and 7.4.
 */
import { canonicalText, fetchItems, type ImapValue, listOf, textOf } from "./imap-values.ts";

export interface KnownMessage {
  uid: number | undefined;
  /** Sorted, without \Recent; undefined while nobody has told. */
  flags: readonly string[] | undefined;
  recent: boolean;
}

export interface SessionModel {
  /** By sequence number. */
  readonly messages: readonly KnownMessage[];
  /** Throws where the client must not be told so. */
  take(response: Buffer, options: { readonly expunges: boolean }): void;
  /** To be called when STORE .SILENT is sent: its outcome is not told. */
  change(sequence: number, change: (flags: readonly string[]) => readonly string[]): void;
}

/** What sessions on the same mailbox have been told, to be held against each other. */
export interface SharedKnowledge {
  /** \Recent belongs to one session only: who claims a UID. */
  readonly recent: Map<number, SessionModel>;
  /** What never changes of a UID: item and value. Not held against each other where there is none. */
  readonly constant: Map<string, string> | undefined;
}

const constantItems = ["ENVELOPE", "INTERNALDATE", "RFC822.SIZE", "BODYSTRUCTURE", "BODY[]"];

/** Of one SELECT. */
export function createSessionModel(shared: SharedKnowledge): SessionModel {
  const messages: KnownMessage[] = [];
  const expunged = new Set<number>();

  const known = (sequence: number): KnownMessage => {
    const message = messages[sequence - 1];
    if (!message) throw new Error(`there are ${messages.length} messages`);
    return message;
  };
  const learnUid = (sequence: number, uid: number): void => {
    const message = known(sequence);
    if (message.uid === uid) return;
    if (message.uid !== undefined) throw new Error(`message ${sequence} was UID ${message.uid}`);
    if (expunged.has(uid)) throw new Error("this UID was expunged");
    message.uid = uid;
    const uids = messages.map((one) => one.uid).filter((one) => one !== undefined);
    if (uids.some((one, index) => index > 0 && one <= (uids[index - 1] ?? 0)))
      throw new Error(`UIDs are not ascending: ${uids.join(" ")}`);
  };
  const claimRecent = ({ uid, recent }: KnownMessage): void => {
    if (!recent || uid === undefined) return;
    if ((shared.recent.get(uid) ?? model) !== model) throw new Error("\\Recent to two sessions");
    shared.recent.set(uid, model);
  };
  const learn = (sequence: number, response: Buffer): void => {
    const items = fetchItems(response) ?? new Map();
    const message = known(sequence);
    if (items.has("UID")) learnUid(sequence, Number(textOf(items.get("UID"))));
    if (items.has("FLAGS")) {
      const flags = listOf(items.get("FLAGS")).map(textOf);
      message.flags = flags.filter((flag) => flag !== "\\Recent").sort();
      message.recent = flags.includes("\\Recent");
    }
    claimRecent(message);
    if (shared.constant) compareConstant(shared.constant, message, items);
  };
  const compareConstant = (
    constant: Map<string, string>,
    message: KnownMessage,
    items: ReadonlyMap<string, ImapValue>,
  ): void => {
    for (const item of constantItems) {
      const value = items.get(item);
      // Dovecot answers NIL where the message was expunged.
      if (!value || value.kind === "nil" || message.uid === undefined) continue;
      const [key, text] = [`${message.uid} ${item}`, canonicalText(value)];
      if ((constant.get(key) ?? text) !== text) throw new Error(`${item} was ${constant.get(key)}`);
      constant.set(key, text);
    }
  };
  const learnCount = (count: number): void => {
    if (count < messages.length) throw new Error(`there were ${messages.length} messages`);
    while (messages.length < count) messages.push({ uid: undefined, flags: undefined, recent: false });
  };
  const expunge = (sequence: number, permitted: boolean): void => {
    if (!permitted) throw new Error("EXPUNGE where it shifts the numbers of a running command");
    const { uid } = known(sequence);
    if (uid !== undefined) expunged.add(uid);
    messages.splice(sequence - 1, 1);
  };
  const checkFound = (numbers: readonly number[]): void => {
    if (numbers.some((number, index) => index > 0 && number <= (numbers[index - 1] ?? 0)))
      throw new Error("what was found is not ascending");
  };

  const model: SessionModel = {
    messages,
    take(response, { expunges }) {
      const head = response.toString("latin1", 0, 40);
      const [, number, name] = /^\* (\d+) ([A-Z]+)/.exec(head) ?? [];
      try {
        if (name === "EXISTS") learnCount(Number(number));
        else if (name === "EXPUNGE") expunge(Number(number), expunges);
        else if (name === "FETCH") learn(Number(number), response);
        else if (name === "RECENT" && Number(number) > messages.length)
          throw new Error("more than there are");
        else if (head.startsWith("* SEARCH"))
          checkFound(response.toString("latin1").split(" ").slice(2).map(Number));
        else if (head.startsWith("* BYE")) throw new Error("disconnected");
      } catch (error) {
        throw new Error(`${(error as Error).message}: ${response.toString("latin1", 0, 300)}`);
      }
    },
    change(sequence, change) {
      const message = known(sequence);
      message.flags = message.flags && [...new Set(change(message.flags))].sort();
    },
  };
  return model;
}
