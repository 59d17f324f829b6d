/** CAPA (RFC 2449), NOOP and QUIT (RFC 1939 5, 6). */
import packageJson from "../../../package.json" with { type: "json" };
import { isUnavailable, MailError } from "../../errors.ts";
import { mayLogIn } from "../../wire/log-in.ts";
import { type Call, define, noArgument, ok, type Reply } from "../command.ts";
import { closeSession, type Session, type Transaction } from "../state.ts";

export const capa = define({
  name: "CAPA",
  state: "any",
  run: (call) => {
    noArgument(call);
    const lines = ["+OK Capability list follows", ...capabilities(call.session), "."];
    call.output.write(lines.map((line) => `${line}\r\n`).join(""));
    return { ...ok(""), isWritten: true };
  },
});

/**
 * No APOP: its digest needs passwords that are kept in clear, and MD5 (RFC 1939 13, RFC 6151). EXPIRE NEVER: nothing
 * is removed that no client has removed.
 */
function capabilities(session: Session): readonly string[] {
  const always = ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER"];
  const offered = [...always, `IMPLEMENTATION Mailferry-${packageJson.version}`];
  if (session.state.kind !== "authorization") return offered;
  if (session.startTls && !session.peer.secure) offered.push("STLS");
  if (mayLogIn(session)) offered.push("USER", "SASL PLAIN LOGIN");
  return offered;
}

export const noop = define({
  name: "NOOP",
  state: "transaction",
  run: (call) => {
    noArgument(call);
    return ok("");
  },
});

export const quit = define({
  name: "QUIT",
  state: "any",
  run: async (call): Promise<Reply> => {
    noArgument(call);
    const { session, state } = call;
    try {
      if (state.kind === "transaction") await update({ ...call, state });
      return { ...ok("Logging out."), next: "close" };
    } catch (error) {
      if (!(error instanceof MailError)) throw error;
      session.options.logger.warn({ session: session.id, err: error }, "pop3 messages were not removed");
      const code = isUnavailable(error) ? "SYS/TEMP" : "SYS/PERM";
      return { ok: false, code, text: "some deleted messages not removed", next: "close" };
    } finally {
      closeSession(session);
    }
  },
});

/** RFC 1939 6: only now is removed what was marked. */
async function update({ state, signal }: Call<Transaction>): Promise<void> {
  const { maildrop, deleted, retrieved } = state;
  const named = (numbers: Iterable<number>) =>
    [...numbers].map((number) => maildrop.messages[number - 1]).filter((message) => message !== undefined);
  const read = [...retrieved].filter((number) => !deleted.has(number));
  await maildrop.update({ read: named(read), deleted: named(deleted) }, signal);
}
