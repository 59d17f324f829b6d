/** Tells what stands between an account and `complete`, and does what an operator says to it. */
import { MailError } from "../errors.ts";
import { isMade } from "../mail/made-uidl.ts";
import { choicesOf, type Hindrance, idOf, wordsOf } from "../migration/hindrance.ts";
import { hindrancesIn } from "../migration/hindrances.ts";
import type { Mirror } from "../migration/mirror.ts";
import { operatorWords } from "../migration/operator-words.ts";
import { settleHindrances } from "../migration/settle-hindrances.ts";
import type { Mailferry } from "../server.ts";
import type { OperationRequest, Problem, ProblemsResult } from "./operations.ts";

export async function problems(
  mailferry: Mailferry,
  operation: "problems" | "settle-problems",
  { user, password, decision, signal }: OperationRequest,
): Promise<ProblemsResult> {
  if (user === undefined) throw new MailError("CANNOT", "which user?");
  if (operation === "problems") return mailferry.inspect(user, (mirror) => resultOf(mirror));
  if (!decision) throw new MailError("CANNOT", "which decision?");
  const settle = async (mirror: Mirror): Promise<ProblemsResult> =>
    resultOf(mirror, await settleHindrances(mirror, decision, signal));
  // Nobody at the old server is asked about what is given up.
  const asksNobody = decision.choice === "accept" && (await isOfMessages(mailferry, user, decision));
  if (asksNobody) return mailferry.inspect(user, settle);
  return mailferry.withMirror(user, password, signal, (_, mirror) => settle(mirror));
}

function isOfMessages(
  mailferry: Mailferry,
  user: string,
  { ids, kind: asked }: NonNullable<OperationRequest["decision"]>,
): Promise<boolean> {
  return mailferry.inspect(user, async (mirror) =>
    (await hindrancesIn(mirror))
      .filter((one) => one.kind === asked || ids?.includes(idOf(one)))
      .every(({ kind }) => kind === "message" || kind === "shut" || kind === "maildrop"),
  );
}

async function resultOf(mirror: Mirror, settled?: readonly Hindrance[]): Promise<ProblemsResult> {
  return {
    problems: (await hindrancesIn(mirror)).map(toProblem),
    settled: settled?.map(toProblem),
    decisions: operatorWords(mirror.store),
  };
}

function toProblem(hindrance: Hindrance): Problem {
  return {
    id: idOf(hindrance),
    kind: hindrance.kind,
    mailbox: "mailbox" in hindrance ? hindrance.mailbox : null,
    uid: "uid" in hindrance ? hindrance.uid : null,
    uidl: "uidl" in hindrance && !isMade(hindrance.uidl) ? hindrance.uidl : null,
    tries: "tries" in hindrance ? hindrance.tries : null,
    words: wordsOf(hindrance),
    choices: choicesOf(hindrance),
  };
}
