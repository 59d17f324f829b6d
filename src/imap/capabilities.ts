import { mayLogIn } from "../wire/log-in.ts";
import type { Session } from "./state.ts";

const always = [
  "IMAP4rev1",
  "SASL-IR",
  "ID",
  "IDLE",
  "LITERAL+",
  "NAMESPACE",
  "UNSELECT",
  "CHILDREN",
  "UIDPLUS",
  "MOVE",
  "ENABLE",
  "CONDSTORE",
  "QRESYNC",
  "ESEARCH",
  "SEARCHRES",
  "WITHIN",
  "SORT",
  "SORT=DISPLAY",
  "ESORT",
  "THREAD=ORDEREDSUBJECT",
  "THREAD=REFERENCES",
  "THREAD=REFS",
];

/** The capability list as it is for this session now (RFC 3501 7.2.1): only what works. */
export function capabilities(session: Session): string {
  if (session.state.kind !== "not-authenticated") return always.join(" ");
  const offered = [...always];
  if (session.startTls && !session.peer.secure) offered.push("STARTTLS");
  if (mayLogIn(session)) offered.push("AUTH=PLAIN", "AUTH=LOGIN");
  else offered.push("LOGINDISABLED");
  return offered.join(" ");
}
