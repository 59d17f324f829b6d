/** A maildrop as a POP3 client sees it, byte for byte. */
import { createHash } from "node:crypto";
import { openPop3, type Pop3Session } from "../../src/legacy/pop3-client.ts";
import { Secret } from "../../src/mail/secret.ts";

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

/** LIST, UIDL and every RETR. */
export async function seenMaildrop(port: number, user: string, password?: string): Promise<SeenMessage[]> {
  const session = await openMaildrop(port, user, password);
  const [sizes, uidls] = [await session.list(), await session.uidls()];
  const seen = await Promise.all(
    [...uidls].map(async ([number, uidl]): Promise<SeenMessage> => {
      const hash = createHash("sha256");
      await session.retrieve(number, (bytes) => void hash.update(bytes) as undefined);
      return { number, sizeBytes: sizes.get(number), uidl, digest: hash.digest("hex") };
    }),
  );
  await session.quit();
  return seen;
}
