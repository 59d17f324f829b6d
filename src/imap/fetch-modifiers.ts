/** The modifiers of FETCH (RFC 7162 3.1.4, 3.2.6). */
import type { ModSeq } from "../mail/ids.ts";
import { modSeqValue } from "./condstore.ts";
import { type Cursor, keyword, list, ParseError, space } from "./tokens.ts";

export interface FetchModifiers {
  readonly changedSince: ModSeq | undefined;
  /** Expunged messages are told, too. Never without `changedSince`. */
  readonly vanished: boolean;
}

export const noModifiers: FetchModifiers = { changedSince: undefined, vanished: false };

export function fetchModifiers(cursor: Cursor): FetchModifiers {
  let changedSince: ModSeq | undefined;
  let vanished = false;
  list(cursor, (at) => {
    const name = keyword(at);
    if (name === "VANISHED") vanished = true;
    else if (name !== "CHANGEDSINCE") throw new ParseError("Unknown FETCH modifier");
    else {
      space(at);
      changedSince = modSeqValue(at);
    }
  });
  if (vanished && changedSince === undefined) throw new ParseError("VANISHED used without CHANGEDSINCE");
  return { changedSince, vanished };
}
