/** RETR and TOP (RFC 1939 5, 7): a message's bytes as they are, dot-stuffed, as fast as the client reads. */
import type { MaildropMessage } from "../../account/maildrop.ts";
import { MailError } from "../../errors.ts";
import { createDotStuffer } from "../../mail/dot-stuffing.ts";
import { BadCommand, BrokenAnswer, type Call, define, ok, type Reply } from "../command.ts";
import type { Transaction } from "../state.ts";
import { named } from "./maildrop.ts";

export const retr = define({
  name: "RETR",
  state: "transaction",
  run: async (call) => {
    const [number, message] = named(call.state, call.argument);
    const reply = await send(call, message, ` ${message.sizeBytes} octets`, undefined);
    call.state.retrieved.add(number);
    return reply;
  },
});

export const top = define({
  name: "TOP",
  state: "transaction",
  run: (call) => {
    const match = /^(\d{1,10}) (\d{1,10})$/.exec(call.argument);
    if (!match?.[1]) throw new BadCommand("Invalid TOP");
    const [, message] = named(call.state, match[1]);
    return send(call, message, "", Number(match[2]));
  },
});

async function send(
  { state, signal, output }: Call<Transaction>,
  message: MaildropMessage,
  text: string,
  lines: number | undefined,
): Promise<Reply> {
  const stuffer = createDotStuffer();
  let isBegun = false;
  // Only with the first bytes: a message that cannot be read is refused.
  const begin = (): void => {
    if (!isBegun) output.write(`+OK${text}\r\n`);
    isBegun = true;
  };
  const take = (bytes: Buffer): Promise<void> => {
    begin();
    for (const piece of stuffer.push(bytes)) output.write(piece);
    return output.flushed();
  };
  try {
    const isThere = await state.maildrop.read(message, lines, take, signal);
    if (!isThere) throw new MailError("NONEXISTENT", "Message was removed meanwhile");
  } catch (error) {
    throw isBegun ? new BrokenAnswer(error) : error;
  }
  begin();
  output.write(stuffer.end());
  return { ...ok(""), isWritten: true };
}
