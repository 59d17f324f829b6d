import { MailError } from "../errors.ts";

/** The old server has ended a connection, fallen silent on it, or does not keep to the protocol. */
export class ServerFault extends MailError {
  constructor(message: string, cause?: unknown) {
    super("UNAVAILABLE", message, cause);
  }
}

/** It has said nothing for as long as it may. */
export class ServerSilent extends ServerFault {}
