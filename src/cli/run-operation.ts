/**
 * Runs an operation on the accounts of this process.
 */
import { isUnavailable, MailError, unreachable } from "../errors.ts";
import { choicesOf, type HindranceKind } from "../migration/hindrance.ts";
import { hindrancesIn } from "../migration/hindrances.ts";
import type { Mirror } from "../migration/mirror.ts";
import { operatorWords } from "../migration/operator-words.ts";
import { progressOf, sumProgress } from "../migration/progress.ts";
import { noteDecision } from "../migration/settle-hindrances.ts";
import type { Mailferry } from "../server.ts";
import type { AccountCounters, AccountRow } from "../store/directory.ts";
import { repairsOf } from "../store/repairs.ts";
import { type AccountVerdict, firstVerdict, type VerifyRequest, verifyAccount } from "../verify-account.ts";
import { pause } from "../waiting.ts";
import type {
  AccountStatus,
  CutoverResult,
  HeldResult,
  MaildropStatus,
  MigrateProgress,
  MigrateResult,
  Operation,
  OperationRequest,
  RollbackResult,
} from "./operations.ts";
import { problems } from "./run-problems.ts";

const progressIntervalMs = 500;
/** A pull that brings nothing new this often in a row is reported as failed. */
const maxFruitlessPulls = 5;
const pauseBetweenPullsMs = 2_000;

export async function runOperation(
  mailferry: Mailferry,
  operation: Operation,
  request: OperationRequest,
): Promise<unknown> {
  switch (operation) {
    case "migrate":
      return migrate(mailferry, request);
    case "verify":
      return verify(mailferry, request);
    case "status":
      return status(mailferry, request);
    case "create-account":
      return createAccount(mailferry, request);
    case "cutover":
    case "cutover-dry-run":
      return cutover(mailferry, operation === "cutover-dry-run", request);
    case "rollback":
      return rollback(mailferry, request);
    case "handover":
      return mailferry.handOver(userOf(request), request.signal);
    case "held-deletions":
      return mailferry.inspect(userOf(request), heldDeletions);
    case "accept-deletions":
    case "refuse-deletions":
      return settleDeletions(mailferry, operation, request);
    case "problems":
    case "settle-problems":
      return problems(mailferry, operation, request);
    default:
      return unreachable(operation);
  }
}

function userOf({ user }: OperationRequest): string {
  if (user === undefined) throw new MailError("CANNOT", "which user?");
  return user;
}

async function createAccount(mailferry: Mailferry, request: OperationRequest): Promise<{ user: string }> {
  const { password } = request;
  if (!password || password.reveal() === "") throw new MailError("CANNOT", "a password is needed");
  return { user: await mailferry.createAccount(userOf(request), password) };
}

async function migrate(mailferry: Mailferry, request: OperationRequest): Promise<MigrateResult> {
  return mailferry.withMirror(userOf(request), request.password, request.signal, async (user, mirror) => {
    const started = performance.now();
    const first = countersOf(mirror);
    const progress = (): MigrateProgress => {
      const now = countersOf(mirror);
      return {
        ...now,
        elapsedMs: Math.round(performance.now() - started),
        messagesDone: now.messagesHere - first.messagesHere,
        bytesDone: now.bytesHere - first.bytesHere,
      };
    };
    const timer = setInterval(() => request.onProgress(progress()), progressIntervalMs);
    try {
      const problems = await pullUntilThere(mirror, request.signal);
      const { messagesDone: _, bytesDone: __, ...result } = progress();
      request.onProgress(progress());
      return { user, complete: problems.length === 0, problems, ...result };
    } finally {
      clearInterval(timer);
    }
  });
}

/** The legacy server may drop out now and then: as long as messages come, the pull goes on. */
async function pullUntilThere(mirror: Mirror, signal: AbortSignal): Promise<readonly string[]> {
  let fruitless = 0;
  for (;;) {
    const before = countersOf(mirror).messagesHere;
    const outcome = await mirror.pull(signal);
    if (outcome.kind === "complete") return [];
    if (outcome.kind === "incomplete") return outcome.problems;
    fruitless = countersOf(mirror).messagesHere > before ? 0 : fruitless + 1;
    const passes = isUnavailable(outcome.error);
    if (!passes || fruitless >= maxFruitlessPulls) throw outcome.error;
    await pause(pauseBetweenPullsMs, signal);
  }
}

async function verify(mailferry: Mailferry, request: OperationRequest): Promise<AccountVerdict> {
  const { password, signal } = request;
  return mailferry.withMirror(userOf(request), password, signal, async (user, mirror, sources) => {
    const verdict = await verifyAccount(mirror, sources, verifyRequest(request));
    // A cutover by policy waits for as many days as if it had found that itself.
    if (!verdict.equal) mailferry.directory.cutoverNotes.write(user, { equalSince: undefined });
    return verdict;
  });
}

function verifyRequest({ signal, samplePercent, onProgress }: OperationRequest): VerifyRequest {
  return { signal, samplePercent, onMailbox: ({ name }) => onProgress({ mailbox: name }) };
}

async function cutover(
  mailferry: Mailferry,
  dryRun: boolean,
  request: OperationRequest,
): Promise<CutoverResult> {
  const { signal, password } = request;
  const user = mailferry.canonicalName(userOf(request));
  const outcome = await mailferry.cutOver(user, {
    signal,
    password,
    dryRun,
    verify: (mirror, sources) => firstVerdict(mirror, sources, verifyRequest(request)),
  });
  return { user, ...outcome };
}

async function rollback(mailferry: Mailferry, request: OperationRequest): Promise<RollbackResult> {
  const user = mailferry.canonicalName(userOf(request));
  const report = await mailferry.rollBack(user, request);
  return { user, notes: [], ...report };
}

async function heldDeletions({ held, store }: Mirror): Promise<HeldResult> {
  const setAside = store.setAsideMailboxes();
  // From now on they may be removed.
  store.noteSetAsideTold();
  return { held: await held.list(), setAside };
}

async function settleDeletions(
  mailferry: Mailferry,
  operation: "accept-deletions" | "refuse-deletions",
  request: OperationRequest,
): Promise<HeldResult> {
  const { signal } = request;
  return mailferry.withMirror(userOf(request), request.password, signal, async (_, mirror) => {
    const held = await mirror.held.list();
    const choice = operation === "accept-deletions" ? "accept" : "refuse";
    const by = request.decision?.by ?? "unknown";
    for (const hindrance of await hindrancesIn(mirror))
      if (isOfDeletions(hindrance.kind) && choicesOf(hindrance).includes(choice))
        noteDecision(mirror.store, hindrance, { choice, by, at: new Date().toISOString() });
    if (operation === "accept-deletions") await mirror.held.accept(signal);
    else return { held, rescued: await mirror.held.refuse(signal) };
    return { held };
  });
}

function isOfDeletions(kind: HindranceKind): boolean {
  return kind === "deletions" || kind === "others" || kind === "mailbox" || kind === "missing";
}

async function status(mailferry: Mailferry, request: OperationRequest): Promise<readonly AccountStatus[]> {
  const { directory } = mailferry;
  if (request.user === undefined) {
    return directory
      .accounts()
      .map((row) =>
        statusOf(
          mailferry,
          row,
          mailferry.isPulling(row.user),
          mailferry.liveCounters(row.user) ?? row.counters,
        ),
      );
  }
  const user = mailferry.canonicalName(request.user);
  const row = directory.account(user);
  if (!row) throw new MailError("NONEXISTENT", `no account ${user}`);
  return mailferry.inspect(user, async (mirror) => {
    const perMailbox = (await mirror.all()).map(progressOf);
    const maildrop = maildropStatus(mirror);
    return [
      {
        ...statusOf(mailferry, row, mirror.busy, sumProgress(perMailbox)),
        perMailbox,
        ...(maildrop && { maildrop }),
        decisions: operatorWords(mirror.store),
        repairs: repairsOf(mirror.store),
      },
    ];
  });
}

function maildropStatus({ maildrop, store }: Mirror): MaildropStatus | undefined {
  if (!maildrop) return undefined;
  return { ...store.maildrop.counts(), problems: maildrop.problems() };
}

function statusOf(
  mailferry: Mailferry,
  row: AccountRow,
  pulling: boolean,
  counters: AccountCounters,
): AccountStatus {
  const live = mailferry.liveOutcome(row.user);
  const { equalSince, problem, hookProblem } = mailferry.directory.cutoverNotes.read(row.user);
  const told = [
    live ? live.problem : row.lastError,
    mailferry.liveTrouble(row.user),
    row.stage !== "local" && problem && `automatic cutover: ${problem}`,
    hookProblem,
  ].filter((text) => typeof text === "string");
  return {
    user: row.user,
    stage: row.stage,
    legacy: row.legacy,
    pulling,
    equalSince: equalSince?.toISOString() ?? null,
    credentialsKnown: mailferry.hasCredentials(row.user),
    lastLoginAt: row.lastLoginAt ?? null,
    lastError: told.length === 0 ? null : told.join("; "),
    ...counters,
  };
}

function countersOf(mirror: Mirror): AccountCounters {
  return sumProgress(mirror.opened().map(progressOf));
}
