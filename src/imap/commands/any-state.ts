/** Commands of every state (RFC 3501 6.1, RFC 2971) and STARTTLS (6.2.1). */
import packageJson from "../../../package.json" with { type: "json" };
import { capabilities } from "../capabilities.ts";
import { define, nothing } from "../command.ts";
import { formatList, formatString, no, ok, untagged } from "../formatter.ts";
import { closeSession } from "../state.ts";
import { type Cursor, keyword, list, nstring, ParseError, peek, space, string } from "../tokens.ts";

export const capability = define({
  name: "CAPABILITY",
  state: "any",
  parse: nothing,
  run: ({ session, output }) => {
    output.write(untagged(`CAPABILITY ${capabilities(session)}`));
    return ok("Capability completed.");
  },
});

export const noop = define({
  name: "NOOP",
  state: "any",
  parse: nothing,
  run: async ({ state, signal }) => {
    if (state.kind === "selected") await state.mailbox.poll(signal);
    return ok("NOOP completed.");
  },
});

export const logout = define({
  name: "LOGOUT",
  state: "any",
  parse: nothing,
  run: ({ session, output }) => {
    output.write(untagged("BYE Logging out"));
    closeSession(session);
    return ok("Logout completed.");
  },
});

const serverId = formatList(["name", "Mailferry", "version", packageJson.version].map(formatString));

export const id = define({
  name: "ID",
  state: "any",
  parse: clientId,
  run: ({ session, args, output }) => {
    const client = Object.fromEntries(args.filter(([field]) => loggedFields.has(field)));
    if (args.length > 0) session.options.logger.info({ session: session.id, client }, "imap client");
    output.write(untagged(`ID ${serverId}`));
    return ok("ID completed.");
  },
});

export const startTls = define({
  name: "STARTTLS",
  state: "not-authenticated",
  parse: nothing,
  run: ({ session }) => {
    if (session.peer.secure) return no("TLS is already active.");
    if (!session.startTls) return no("TLS is not available here.");
    return ok("Begin TLS negotiation now.");
  },
});

const loggedFields = new Set(["name", "version", "vendor", "os"]);

/** RFC 2971 3.3: at most 30 fields, names of 30 and values of 1024 bytes. */
const idLimits = { fields: 30, nameBytes: 30, valueBytes: 1024 } as const;

type IdField = readonly [name: string, value: string | undefined];

function clientId(cursor: Cursor): readonly IdField[] {
  space(cursor);
  if (peek(cursor) !== "(") {
    if (keyword(cursor) !== "NIL") throw new ParseError("Expected a list or NIL");
    return [];
  }
  const fields = list(cursor, (at): IdField => {
    const name = string(at).toLowerCase();
    space(at);
    return [name, nstring(at)];
  });
  const tooLong = fields.some(
    ([name, value]) => name.length > idLimits.nameBytes || (value?.length ?? 0) > idLimits.valueBytes,
  );
  if (tooLong || fields.length > idLimits.fields) throw new ParseError("ID too long");
  return fields;
}
