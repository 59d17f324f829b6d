/** A client that keeps a model of each mailbox it selects, and of what it sends with pieces of the next command. */
import type { CommandPiece, ImapClient } from "./imap-client.ts";
import { createSessionModel, type SessionModel, type SharedKnowledge } from "./session-model.ts";

export interface ModelledClient {
  readonly mailbox: string;
  readonly model: SessionModel;
  /** Runs one; answers whether it was done. A NO is accepted where another has expunged what was named. */
  run(...pieces: readonly CommandPiece[]): Promise<boolean>;
  /** Sends all at once. */
  pipeline(commands: readonly string[]): Promise<void>;
  select(mailbox: string, verb?: "SELECT" | "EXAMINE"): Promise<void>;
  /** Waits in IDLE for some news, `patienceMs` at the longest. */
  idle(patienceMs: number): Promise<void>;
  /** The last commands and their answers. */
  history(): string;
  close(): void;
}

/** By mailbox. */
export type Knowledge = (mailbox: string) => SharedKnowledge;

const historyLines = 60;

export function createModelledClient(client: ImapClient, knowledge: Knowledge): ModelledClient {
  let mailbox = "INBOX";
  let model = createSessionModel(knowledge(mailbox));
  let pipelined = 0;
  const lines: string[] = [];
  const note = (line: string): void => {
    lines.push(line.slice(0, 300));
    if (lines.length > historyLines) lines.shift();
  };

  /** What a command means for the model as soon as it is sent. */
  const begin = (text: string): void => {
    note(`C: ${text}`);
    const selected = /^(?:SELECT|EXAMINE) (\S+)/.exec(text)?.[1];
    if (selected !== undefined) {
      mailbox = selected;
      model = createSessionModel(knowledge(mailbox));
    }
    const stored = /^(UID )?STORE (\d+) ([+-]?)FLAGS\.SILENT \((.*)\)$/.exec(text);
    if (!stored) return;
    const [, byUid, number, sign, list = ""] = stored;
    const named = list.split(" ").filter((flag) => flag !== "");
    const sequence = byUid
      ? model.messages.findIndex((message) => message.uid === Number(number)) + 1
      : Number(number);
    model.change(sequence, (flags) => {
      if (sign === "+") return [...flags, ...named];
      return sign === "-" ? flags.filter((flag) => !named.includes(flag)) : named;
    });
  };
  const take = (text: string, response: Buffer): void => {
    note(`S: ${response.toString("latin1", 0, 300)}`);
    model.take(response, { expunges: !/^(FETCH|STORE|SEARCH)/.test(text) });
  };
  const end = (text: string, status: string, answer: string): boolean => {
    note(`S: ${status} ${answer}`);
    if (status === "OK") return true;
    if (status === "NO" && answer.startsWith("[EXPUNGEISSUED]")) return false;
    throw new Error(`${text}: ${status} ${answer}`);
  };

  return {
    get mailbox() {
      return mailbox;
    },
    get model() {
      return model;
    },
    async run(...pieces) {
      const text = pieces.map((piece) => (typeof piece === "string" ? piece : `{${piece.length}}`)).join("");
      begin(text);
      const answered = await client.command(...pieces);
      for (const response of answered.untagged) take(text, response);
      return end(text, answered.status, answered.text);
    },
    async pipeline(commands) {
      const tagged = commands.map((text) => ({ tag: `p${++pipelined}`, text }));
      client.send(tagged.map(({ tag, text }) => `${tag} ${text}\r\n`).join(""));
      for (const { tag, text } of tagged) {
        begin(text);
        for (;;) {
          const response = await client.next();
          const answer = response.toString("latin1");
          if (!answer.startsWith(`${tag} `)) {
            take(text, response);
            continue;
          }
          const [, status = "", ...rest] = answer.split(" ");
          end(text, status, rest.join(" "));
          break;
        }
      }
    },
    async select(name, verb = "SELECT") {
      await this.run(`${verb} ${name}`);
    },
    async idle(patienceMs) {
      const idle = await client.idle();
      note("C: IDLE");
      await idle.until(/^\* \d+ /, patienceMs).catch(() => undefined);
      for (const response of (await idle.done()).untagged) take("IDLE", response);
    },
    history: () => lines.join("\n"),
    close: () => client.close(),
  };
}
