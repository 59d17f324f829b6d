/** What is asked of a maildrop (RFC 1939 5, 7): STAT, LIST, UIDL, DELE, RSET. */
import type { MaildropMessage } from "../../account/maildrop.ts";
import { noUidl } from "../../mail/ids.ts";
import { BadCommand, type Call, type Command, define, noArgument, ok, type Reply } from "../command.ts";
import type { Transaction } from "../state.ts";

export const stat = define({
  name: "STAT",
  state: "transaction",
  run: (call) => {
    noArgument(call);
    const messages = numbered(call.state);
    const sizeBytes = messages.reduce((sum, [, message]) => sum + message.sizeBytes, 0);
    return ok(`${messages.length} ${sizeBytes}`);
  },
});

export const list = defineListing("LIST", ({ sizeBytes }) => String(sizeBytes));
export const uidl = defineListing("UIDL", (message) => (message.uidl === noUidl ? undefined : message.uidl));

/** `tell`: undefined of what there is nothing to tell. */
function defineListing(name: string, tell: (message: MaildropMessage) => string | undefined): Command {
  return define({
    name,
    state: "transaction",
    run: async ({ state, argument, output }) => {
      if (argument !== "") {
        const [number, message] = named(state, argument);
        const told = tell(message);
        return told === undefined ? nothingToTell : ok(`${number} ${told}`);
      }
      const messages = numbered(state);
      if (messages.length > 0 && !messages.some(([, message]) => tell(message) !== undefined))
        return nothingToTell;
      output.write(`+OK ${messages.length} messages\r\n`);
      for (const [number, message] of messages) {
        const told = tell(message);
        if (told !== undefined) output.write(`${number} ${told}\r\n`);
        await output.flushed();
      }
      output.write(".\r\n");
      return { ...ok(""), isWritten: true };
    },
  });
}

/** An old server that has no UIDL serves this session. */
const nothingToTell: Reply = { ok: false, text: "Not supported." };

export const dele = define({
  name: "DELE",
  state: "transaction",
  run: ({ state, argument }) => {
    const [number] = named(state, argument);
    state.deleted.add(number);
    return ok("Marked to be deleted.");
  },
});

export const rset = define({
  name: "RSET",
  state: "transaction",
  run: (call) => {
    noArgument(call);
    call.state.deleted.clear();
    return ok("");
  },
});

/** Those that are not marked; numbers stay as they are (RFC 1939 5). */
function numbered({ maildrop, deleted }: Transaction): readonly (readonly [number, MaildropMessage])[] {
  return maildrop.messages.flatMap((message, index) =>
    deleted.has(index + 1) ? [] : [[index + 1, message] as const],
  );
}

/** Throws BadCommand for what is no number, and answers what there is none of as RFC 1939 5 has it. */
export function named(
  { maildrop, deleted }: Call<Transaction>["state"],
  argument: string,
): readonly [number, MaildropMessage] {
  if (!/^\d{1,10}$/.test(argument)) throw new BadCommand("Invalid message number");
  const number = Number(argument);
  const message = maildrop.messages[number - 1];
  if (!message) throw new BadCommand(`There's no message ${number}.`);
  if (deleted.has(number)) throw new BadCommand("Message is deleted.");
  return [number, message];
}
