/**
 * One IMAP session: its state (RFC 3501 3) and what every command does alike, whatever it is: find it in
 * the table, check the state, parse, run, tell the client what changed, answer, log. It owns the account
 * handle and the open mailbox, and knows nothing of sockets.
 *
 * What always holds
 * - Commands run one after the other. Each ends with exactly one tagged answer, unless the session ends.
 * - The one place where errors become answers is `replyToError`.
 */
import { MailError, OutcomeUnknown } from "../errors.ts";
import { ClientGone, disconnected, type Output } from "../wire/output.ts";
import { type Command, type CommandIo, Farewell } from "./command.ts";
import { commandNamed } from "./commands/table.ts";
import { bad, formatReply, formatText, no, type Reply, untagged } from "./formatter.ts";
import type { CommandText } from "./fragments.ts";
import { writeNotices } from "./notices.ts";
import { type CommandLine, parseCommandLine } from "./parser.ts";
import { closeSession, discardUpload, farewellOf, type Session, type SessionState } from "./state.ts";
import { ParseError } from "./tokens.ts";

/** Bad commands in a row before the client is sent away. */
const maxBadCommands = { before: 3, after: 20 } as const;

const maxLoginFailures = 10;

export type Outcome = "continue" | "starttls" | "close";

/** Runs one command to its tagged answer. `close`: everything was said, or nothing more can be. */
export async function runCommand(session: Session, text: CommandText, io: CommandIo): Promise<Outcome> {
  const { output } = io;
  const failure = await finishOpening(session);
  if (failure !== undefined) return sayBye(session, output, failure);
  const log = startLog(session, output);
  const line = parseCommandLine(text);
  const command = commandNamed(line.name);
  const { reply, error } = await replyOf(session, line, command, io);
  discardUpload(session);
  log(command, reply, error);
  if (output.insideLiteral) return leave(session);
  if (endsSession(error, command)) return sayBye(session, output, reply.text);

  const { state } = session;
  if (state.kind === "selected")
    await writeNotices(state, output, { expunges: !command?.usesSequenceNumbers });
  output.write(formatReply(line.tag ?? "*", reply));
  if (reply.status === "BAD") return countBad(session, output);
  session.badCommands = 0;
  if (session.state.kind === "logout") return "close";
  if (session.state.kind === "not-authenticated" && session.state.failures >= maxLoginFailures) {
    return sayBye(session, output, "Too many failed logins.");
  }
  return command?.name === "STARTTLS" && reply.status === "OK" ? "starttls" : "continue";
}

/** Gives the reason where the mailbox that SELECT has told of is not to be had: nothing more can be said then. */
async function finishOpening(session: Session): Promise<string | undefined> {
  const { state, options } = session;
  if (state.kind !== "opening") return undefined;
  try {
    session.state = await state.selected;
    return farewellOf(session);
  } catch (error) {
    const { user } = state.account;
    options.logger.warn({ session: session.id, account: user, err: error }, "a mailbox could not be opened");
    return replyToError(error).text;
  }
}

async function replyOf(
  session: Session,
  { tag, cursor }: CommandLine,
  command: Command | undefined,
  io: CommandIo,
): Promise<{ readonly reply: Reply; readonly error?: unknown }> {
  if (tag === undefined) return { reply: bad("Invalid tag") };
  if (!command) return { reply: bad("Unknown command") };
  try {
    return { reply: await command.start(session, cursor, { ...io, tag }) };
  } catch (error) {
    // Whatever a command makes of its signal: its client is gone, and nothing else went wrong.
    const told = io.signal.aborted ? disconnected(error) : error;
    return { reply: replyToError(told), error: told };
  }
}

/** A command that could not be read: answered with its tag where that is known. */
export function refuseCommand(session: Session, head: string, reason: string, output: Output): Outcome {
  const { tag } = parseCommandLine({ texts: [head], literals: [] });
  output.write(formatReply(tag ?? "*", bad(reason)));
  session.options.logger.info({ session: session.id, result: "BAD", reason }, "imap command refused");
  return countBad(session, output);
}

export function sayBye(session: Session, output: Output, text: string): "close" {
  output.write(untagged(`BYE ${formatText(text)}`));
  return leave(session);
}

function leave(session: Session): "close" {
  closeSession(session);
  return "close";
}

function replyToError(error: unknown): Reply {
  if (error instanceof ParseError) return bad(error.message);
  if (error instanceof MailError) return no(error.message, error.code);
  return no("Internal error", "SERVERBUG");
}

/**
 * A NO to FETCH is taken for an empty message by clients, so bytes that cannot be had end the session; and
 * so does a change of which nobody knows whether it was done.
 */
function endsSession(error: unknown, command: Command | undefined): boolean {
  if (error instanceof OutcomeUnknown || error instanceof Farewell) return true;
  return (
    error instanceof MailError && error.code === "UNAVAILABLE" && command?.endsSessionWhenUnavailable === true
  );
}

function countBad(session: Session, output: Output): Outcome {
  session.badCommands++;
  const limit = session.state.kind === "not-authenticated" ? maxBadCommands.before : maxBadCommands.after;
  return session.badCommands < limit
    ? "continue"
    : sayBye(session, output, "Too many invalid IMAP commands.");
}

type CommandLog = (command: Command | undefined, reply: Reply, error: unknown) => void;

function startLog(session: Session, output: Output): CommandLog {
  const started = performance.now();
  const before = session.state;
  const startBytes = output.writtenBytes;
  const { logger } = session.options;
  return (command, reply, error) => {
    const line = {
      session: session.id,
      account: accountOf(session.state) ?? accountOf(before),
      // Never what the client wrote: an unknown command may be a password that lost its way.
      command: command?.name ?? "unknown",
      result: reply.code ? `${reply.status} [${reply.code.split(" ", 1)[0]}]` : reply.status,
      durationMs: Math.round(performance.now() - started),
      bytes: output.writtenBytes - startBytes,
    };
    // Clients come and go: no fault of anybody's.
    if (error instanceof ClientGone) logger.info({ ...line, result: "client gone" }, "imap command");
    else if (error === undefined || error instanceof ParseError) logger.info(line, "imap command");
    else if (error instanceof MailError) logger.warn({ ...line, err: error }, "imap command");
    else logger.error({ ...line, err: error }, "imap command");
  };
}

function accountOf(state: SessionState): string | undefined {
  return "account" in state ? state.account.user : undefined;
}
