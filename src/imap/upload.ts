/**
 * The message of an APPEND on its way in: it goes to the account's disk as it comes, before anything is
 * asked of anybody. What is wrong with it is kept until the command is whole, and told then.
 */
import { MailError } from "../errors.ts";
import { appendArgs } from "./commands/append.ts";
import type { CommandText } from "./fragments.ts";
import { parseCommandLine } from "./parser.ts";
import { discardUpload, type Session } from "./state.ts";
import { ParseError } from "./tokens.ts";

/** Larger ones are refused before a byte is sent, where the client asks first. */
const maxMessageBytes = 128 << 20;

/** False where the message is not wanted; why is told when the command runs. */
export async function prepareMessage(
  session: Session,
  text: CommandText,
  sizeBytes: number,
): Promise<boolean> {
  const { state } = session;
  discardUpload(session);
  if (!("account" in state)) return false;
  try {
    appendArgs(parseCommandLine(text).cursor);
    if (sizeBytes > maxMessageBytes)
      throw new MailError("LIMIT", `A message may have ${maxMessageBytes} bytes at most`);
    session.upload = { kind: "receiving", incoming: await state.account.receive(sizeBytes) };
    return true;
  } catch (error) {
    if (!(error instanceof ParseError)) session.upload = { kind: "refused", error };
    return false;
  }
}

/** A piece that cannot be kept spoils the message; the rest of it goes by. */
export async function takePiece(session: Session, bytes: Buffer): Promise<void> {
  const { upload } = session;
  if (upload?.kind !== "receiving") return;
  try {
    await upload.incoming.write(bytes);
  } catch (error) {
    discardUpload(session);
    session.upload = { kind: "refused", error };
  }
}
