/**
 * What a client knows of its mailbox by what it is told, held against the rules (RFC 3501 5.2, 5.5, 7.3, 7.4): a
 * response that breaks one of them is an error.
 */
import { fetchItems, listOf, textOf } from "./imap-values.ts";

/** The command during which a response came; sequence numbers must not shift in those that use them. */
export type During = "FETCH" | "STORE" | "SEARCH" | "other";

export interface ViewModel {
  readonly count: number;
  /** By sequence number; undefined where the server has not told it yet. */
  readonly uids: readonly (number | undefined)[];
  /** Sorted, without \Recent, by UID. */
  readonly flags: ReadonlyMap<number, string>;
  /** UIDs that were told to be \Recent in this session. */
  readonly recent: ReadonlySet<number>;
  /** Throws where it breaks a rule. */
  take(response: Buffer, during: During): void;
}

export function createViewModel(): ViewModel {
  const uids: (number | undefined)[] = [];
  const flags = new Map<number, string>();
  const recent = new Set<number>();

  const noteUid = (sequence: number, uid: number): void => {
    const known = uids[sequence - 1];
    if (known !== undefined && known !== uid) throw broken(`${sequence} was UID ${known} and is ${uid}`);
    uids[sequence - 1] = uid;
    const before = uids.slice(0, sequence - 1).findLast((one) => one !== undefined) ?? 0;
    const after = uids.slice(sequence).find((one) => one !== undefined) ?? Number.POSITIVE_INFINITY;
    if (!(before < uid && uid < after))
      throw broken(`UID ${uid} at ${sequence} is not between ${before} and ${after}`);
  };

  return {
    get count() {
      return uids.length;
    },
    uids,
    flags,
    recent,
    take(response, during) {
      const text = response.toString("latin1", 0, 200);
      if (text.startsWith("* BYE")) throw broken(text);
      const match = /^\* (\d+) (EXISTS|EXPUNGE|FETCH)/.exec(text);
      const number = Number(match?.[1]);
      if (match?.[2] === "EXISTS") {
        if (number < uids.length) throw broken(`EXISTS went from ${uids.length} to ${number}`);
        while (uids.length < number) uids.push(undefined);
      } else if (match?.[2] === "EXPUNGE") {
        if (during !== "other") throw broken(`EXPUNGE during ${during}`);
        if (number < 1 || number > uids.length) throw broken(`EXPUNGE ${number} of ${uids.length}`);
        const [gone] = uids.splice(number - 1, 1);
        if (gone !== undefined) flags.delete(gone);
      } else if (match?.[2] === "FETCH") {
        if (number < 1 || number > uids.length) throw broken(`FETCH ${number} of ${uids.length}`);
        const items = fetchItems(response);
        const uid = items?.get("UID");
        if (uid) noteUid(number, Number(textOf(uid)));
        const told = items?.get("FLAGS");
        const known = uids[number - 1];
        if (!told || known === undefined) return;
        const names = listOf(told).map(textOf);
        if (names.includes("\\Recent")) recent.add(known);
        flags.set(
          known,
          names
            .filter((name) => name !== "\\Recent")
            .sort()
            .join(" "),
        );
      } else if (during === "SEARCH" && text.startsWith("* SEARCH")) {
        const numbers = response.toString("latin1").split(" ").slice(2).map(Number);
        if (numbers.some((one) => one > uids.length)) throw broken(`SEARCH found more than ${uids.length}`);
      }
    },
  };
}

function broken(what: string): Error {
  return new Error(`a rule is broken: ${what}`);
}
