/**
 * CAPA (RFC 2449 5). There are servers that answer `+OK` to it, and no list: whatever is sent next would be taken for
 * the list. It is noticed by the silence that follows, and such a server is not asked again.
 */
import { MailError } from "../errors.ts";
import { gatheringAllowance } from "./pop3-allowance.ts";
import type { Pop3Connection } from "./pop3-connection.ts";
import type { LegacyServerConfig } from "./server-config.ts";

/** The connection is of no more use. */
export class NoListFollows extends MailError {
  constructor() {
    super("UNAVAILABLE", "The old POP3 server answers CAPA with no list");
  }
}

/** Of this process: a server may be mended. */
const listless = new WeakSet<LegacyServerConfig>();
/** The list comes with `+OK`, in the same packet mostly. */
const maxPauseMs = 3_000;
const maxBytes = 64 << 10;

/** None where the server does not know CAPA. Throws NoListFollows, once for a server. */
export async function readCapabilities(
  connection: Pop3Connection,
  config: LegacyServerConfig,
): Promise<ReadonlyMap<string, string>> {
  if (listless.has(config)) return new Map();
  const pieces: Buffer[] = [];
  const allow = gatheringAllowance(maxBytes);
  let timer: NodeJS.Timeout | undefined;
  const onBegun = (): void => {
    timer = setTimeout(() => {
      listless.add(config);
      connection.close(new NoListFollows());
    }, maxPauseMs);
  };
  const onBytes = (piece: Buffer): undefined => {
    clearTimeout(timer);
    allow(piece.length);
    pieces.push(piece);
  };
  try {
    const { ok } = await connection.run({ line: "CAPA", onBegun, onBytes });
    return ok ? capabilitiesOf(Buffer.concat(pieces).toString("latin1")) : new Map();
  } finally {
    clearTimeout(timer);
  }
}

function capabilitiesOf(text: string): ReadonlyMap<string, string> {
  const lines = text.split(/\r?\n/).slice(0, -1);
  return new Map(
    lines.map((line) => {
      const [name = "", ...rest] = line.split(" ");
      return [name.toUpperCase(), rest.join(" ")];
    }),
  );
}
