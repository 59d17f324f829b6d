/**
 * One mailbox, one account: whatever spelling a user logs in with leads to one canonical name, made
 * before anything is opened (design, "Where care is needed", 9).
 */
import { MailError } from "../errors.ts";

/** A user's name in its canonical form: the key of the account. */
export interface UserName {
  /** `bob@example.com`, or `bob` where no domain is known. */
  readonly canonical: string;
  readonly local: string;
  /** '' where the name has none. */
  readonly domain: string;
  /** As typed: what the legacy server is given, whose names may be case-sensitive. */
  readonly typed: string;
}

/** RFC 5321 4.5.3.1 allows 64 + 1 + 255; nothing longer is a mail user. */
const maxLength = 320;

/** undefined for a name that no account can have: empty, over-long, or with control characters. */
export function parseUserName(typed: string, defaultDomain = ""): UserName | undefined {
  if (typed === "" || typed.length > maxLength || /[\0-\x1f\x7f]/.test(typed)) return undefined;
  const lower = typed.toLowerCase().normalize("NFC");
  const at = lower.lastIndexOf("@");
  const local = at < 0 ? lower : lower.slice(0, at);
  const domain = at < 0 ? defaultDomain.toLowerCase() : lower.slice(at + 1);
  if (local === "") return undefined;
  return { canonical: domain ? `${local}@${domain}` : local, local, domain, typed };
}

/** Fills `%u` whole name, `%n` local part, `%d` domain and `%%`, from the name as the user typed it. */
export function expandLogin(template: string, user: UserName): string {
  const at = user.typed.lastIndexOf("@");
  const values: Record<string, string> = {
    u: user.typed,
    n: at < 0 ? user.typed : user.typed.slice(0, at),
    d: at < 0 ? user.domain : user.typed.slice(at + 1),
    "%": "%",
  };
  return template.replace(/%(.)/g, (whole, letter: string) => values[letter] ?? whole);
}

/** First entry whose `domains` names the user's domain, or has `*`, which also takes bare names. */
export function legacyFor<T extends { readonly domains: readonly string[] }>(
  entries: readonly T[],
  user: UserName,
): T | undefined {
  return entries.find((entry) =>
    entry.domains.some(
      (domain) => domain === "*" || (user.domain !== "" && domain.toLowerCase() === user.domain),
    ),
  );
}

/** What a name that has been typed leads to. Throws CANNOT for one that no account can have. */
export function userNameOf(typed: string): UserName {
  const user = parseUserName(typed);
  if (!user) throw new MailError("CANNOT", "not a user name");
  return user;
}
