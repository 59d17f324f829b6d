/**
 * Cuts what an IMAP client sends into commands. The bytes of literals and what answers an AUTHENTICATE are
 * stepped over, so that no mail and no password can be taken for a command; whether a client may send them
 * is the server's to say, whose bytes are needed for that. For plain connections without compression.
 */
export interface SentCommand {
  /** In upper case: `SELECT`, `UID STORE`, `DONE`; `?` where there is none. */
  readonly verb: string;
  /** Without its tag; each literal is its `{n}` alone, and `[secret]` stands for what proves a login. */
  readonly line: string;
}

export interface CommandSplitter {
  clientSent(chunk: Buffer): void;
  serverSent(chunk: Buffer): void;
}

/** What the server has been asked to allow. */
interface Question {
  readonly tag: string;
  readonly kind: "literal" | "authentication";
}

export function createCommandSplitter(onCommand: (command: SentCommand) => void): CommandSplitter {
  /** A line whose end has not come. */
  let partial = "";
  /** The command's lines so far, of which the last ended in a literal. */
  let command = "";
  let literalBytes = 0;
  let question: Question | undefined;
  let serverPartial = "";
  /** So many lines answer the server's challenges. */
  let answersDue = 0;

  const ask = (kind: Question["kind"]): void => {
    question = { kind, tag: command.slice(0, command.indexOf(" ")) };
    serverPartial = "";
  };
  const finish = (): void => {
    const sent = describe(command);
    if (sent.verb === "AUTHENTICATE") ask("authentication");
    command = "";
    onCommand(sent);
  };
  const takeLine = (line: string): void => {
    if (answersDue > 0) {
      answersDue--;
      return;
    }
    command += line;
    const [, bytes, plus] = /\{(\d{1,10})(\+?)\}$/.exec(line) ?? [];
    literalBytes = Number(bytes ?? 0);
    if (bytes === undefined) finish();
    else if (plus === "") ask("literal");
  };
  const takeAnswer = ({ tag, kind }: Question, line: string): void => {
    const isRefused = line.startsWith(`${tag} `);
    if (line.startsWith("+")) {
      if (kind === "authentication") answersDue++;
      else question = undefined;
    } else if (isRefused) {
      question = undefined;
      answersDue = 0;
      if (kind === "authentication") return;
      // The client keeps the literal to itself.
      literalBytes = 0;
      finish();
    }
  };

  return {
    clientSent(chunk) {
      for (let at = 0; at < chunk.length; ) {
        if (literalBytes > 0) {
          const passed = Math.min(literalBytes, chunk.length - at);
          literalBytes -= passed;
          at += passed;
          continue;
        }
        const end = chunk.indexOf(0x0a, at);
        partial += chunk.toString("latin1", at, end < 0 ? chunk.length : end);
        if (end < 0) return;
        const line = partial.endsWith("\r") ? partial.slice(0, -1) : partial;
        partial = "";
        at = end + 1;
        takeLine(line);
      }
    },
    serverSent(chunk) {
      if (!question) return;
      const lines = (serverPartial + chunk.toString("latin1")).split("\r\n");
      serverPartial = lines.pop() ?? "";
      for (const line of lines) if (question) takeAnswer(question, line);
    },
  };
}

function describe(command: string): SentCommand {
  if (/^done$/i.test(command)) return { verb: "DONE", line: command };
  const line = command.slice(command.indexOf(" ") + 1);
  const verb = command.includes(" ") ? (/^(?:UID )?[^\s{]+/i.exec(line)?.[0].toUpperCase() ?? "?") : "?";
  return { verb, line: withoutSecret(verb, line) };
}

function withoutSecret(verb: string, line: string): string {
  if (verb === "LOGIN") return line.replace(/^(\S+ (?:"(?:[^"\\]|\\.)*"|[^\s"]+)).*$/, "$1 [secret]");
  if (verb === "AUTHENTICATE") return line.replace(/^(\S+ \S+) .*$/, "$1 [secret]");
  return line;
}
