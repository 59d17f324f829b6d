/** A maildrop as a POP3 client sees it, byte for byte. */
import { createHash } from "node:crypto";
import { openPop3, type Pop3Session } from "../../src/legacy/pop3-client.ts";
import { Secret } from "../../src/mail/secret.ts";
import { withoutHeaderFields } from "./snapshot.ts";

export interface SeenMessage {
  readonly number: number;
  readonly sizeBytes: number | undefined;
  readonly uidl: string;
  /** SHA-256 of what RETR gives. */
  readonly digest: string;
}

export function openMaildrop(port: number, user: string, password = `pass-${user}`): Promise<Pop3Session> {
  const { signal } = new AbortController();
  return openPop3(
    { host: "127.0.0.1", port, tls: "none", verify: false },
    { login: user, password: new Secret(password) },
    signal,
  );
}

/** LIST, UIDL and every RETR, without the header fields that the server writes into messages itself. */
export async function seenMaildrop(
  port: number,
  user: string,
  password?: string,
  withoutFields: readonly string[] = [],
): Promise<SeenMessage[]> {
  const session = await openMaildrop(port, user, password);
  const [sizes, uidls] = [await session.list(), await session.uidls()];
  const seen = await Promise.all(
    [...uidls].map(async ([number, uidl]): Promise<SeenMessage> => {
      const pieces: Buffer[] = [];
      await session.retrieve(number, (bytes) => void pieces.push(Buffer.from(bytes)) as undefined);
      const whole = Buffer.concat(pieces);
      const bytes = withoutFields.length > 0 ? withoutHeaderFields(whole, withoutFields) : whole;
      const digest = createHash("sha256").update(bytes).digest("hex");
      return { number, sizeBytes: sizes.get(number), uidl, digest };
    }),
  );
  await session.quit();
  return seen;
}
