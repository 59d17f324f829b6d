/**
 * How many connections may be open to one legacy host, per user and in all.
 *
 * What always holds
 * - A connection is in use (its holder has a permit) or idle (it may be closed when room is needed).
 * - Interactive requests go first; users take turns within a priority.
 * - One connection of each user's share, and a tenth of the whole, is never given to the background.
 * - A request whose signal is aborted leaves the queue.
 * - Who holds a connection only to wait (`onWanted`) is asked to give it back when a request has to wait that
 *   goes before it: work goes before waiting for a client's sake, and that before standing by. Those who want one to
 *   wait on, and have none, take turns with those who have.
 */
import { type Backoff, type BackoffLimits, createBackoff } from "./backoff.ts";
import { createRotation } from "./rotation.ts";
import type { LeaseOptions, Priority } from "./source.ts";

export interface Permit {
  /** The connection is closed. */
  release(): void;
  /** The connection stays open, idle; `close` is called when others need the room. */
  releaseIdle(close: () => Promise<void>): IdlePlace;
}

/** An idle connection's place in the budget. */
export interface IdlePlace {
  /** It is closed, or its user has taken it (with a permit). */
  leave(): void;
}

export interface ConnectionBudget {
  /** Failures of the host, which all its users share. */
  readonly backoff: Backoff;
  acquire(user: string, options: LeaseOptions): Promise<Permit>;
  /**
   * The server has no room though the budget has: asks one of this user who only waits to give its connection back.
   * False where none does whom the request goes before.
   */
  askToGiveWay(user: string, request: LeaseOptions): boolean;
  /** There are as many connections as there may be. */
  readonly isCrowded: boolean;
  /** A connection of this user's could be had at once. */
  hasRoom(user: string, priority: Priority): boolean;
  /** Somebody who holds a connection only waits on it from now on (see `LeaseOptions.isWorking`). */
  noteRest(): void;
  /** Called by the holder of a permit before it opens a connection: closes idle ones where needed. */
  makeRoom(): Promise<void>;
  /** Takes in a connection opened elsewhere; undefined when the user has no room for it. */
  addIdle(user: string, close: () => Promise<void>): IdlePlace | undefined;
}

export interface BudgetLimits {
  readonly perUser: number;
  readonly total: number;
  readonly backoff?: BackoffLimits;
}

interface Usage {
  interactive: number;
  background: number;
  idle: number;
}

type Purpose = Pick<LeaseOptions, "onWanted" | "isStandby" | "isWorking">;

interface Waiting {
  readonly purpose: Purpose;
  readonly grant: (permit: Permit) => void;
}

interface Idler {
  readonly user: string;
  since: number;
  /** He was asked to give way a moment ago, and may be about to. */
  askedAt: number;
  readonly purpose: Purpose;
  readonly onWanted: () => void;
}

/** Who was asked to give way is not asked again for so long. */
const giveWayMs = 5_000;

/** What goes first: work (0), waiting for a client's sake, standing by. */
const ranks = [0, 1, 2] as const;

function rankOf({ onWanted, isStandby, isWorking }: Purpose): (typeof ranks)[number] {
  if (!onWanted || isWorking?.()) return 0;
  return isStandby?.() ? 2 : 1;
}

type Queue = Map<string, Waiting[]>;

interface Idle {
  readonly user: string;
  readonly close: () => Promise<void>;
}

const defaultLimits: BudgetLimits = { perUser: 4, total: 200 };

export function createConnectionBudget(limits: BudgetLimits = defaultLimits): ConnectionBudget {
  const { perUser, total } = limits;
  const perUserBackground = Math.max(1, perUser - 1);
  const totalBackground = Math.max(1, total - Math.max(1, Math.floor(total / 10)));
  const usages = new Map<string, Usage>();
  const inUse = { interactive: 0, background: 0 };
  /** Oldest first. */
  const idles = new Set<Idle>();
  const idlers = new Set<Idler>();
  const queues: Record<Priority, Queue> = { interactive: new Map(), background: new Map() };

  const usageOf = (user: string): Usage => {
    const usage = usages.get(user) ?? { interactive: 0, background: 0, idle: 0 };
    usages.set(user, usage);
    return usage;
  };
  const forgetUnused = (user: string, usage: Usage): void => {
    if (usage.interactive + usage.background + usage.idle === 0) usages.delete(user);
  };

  const mayHave = (user: string, priority: Priority): boolean => {
    const usage = usages.get(user);
    if (isFull(priority)) return false;
    if (!usage) return true;
    if (usage.interactive + usage.background >= perUser) return false;
    return priority === "interactive" || usage.background < perUserBackground;
  };

  const placeIdle = (user: string, close: () => Promise<void>): IdlePlace => {
    const idle = { user, close };
    const usage = usageOf(user);
    idles.add(idle);
    usage.idle++;
    return {
      leave() {
        if (!idles.delete(idle)) return;
        usage.idle--;
        forgetUnused(user, usage);
      },
    };
  };

  const isFull = (priority: Priority): boolean =>
    inUse.interactive + inUse.background >= total ||
    (priority === "background" && inUse.background >= totalBackground);

  /** Asks one who only waits to give way: of the same user if there is one, else of any; the least needed first. */
  const askIdler = (user: string, rank: number, ofOthersToo: boolean): boolean => {
    const now = performance.now();
    const [idler] = [...idlers]
      .filter((one) => now - one.askedAt > giveWayMs)
      .filter((one) => rankOf(one.purpose) > rank && (one.user === user || ofOthersToo))
      .sort(
        (a, b) => Number(b.user === user) - Number(a.user === user) || rankOf(b.purpose) - rankOf(a.purpose),
      );
    if (!idler) return false;
    idler.askedAt = now;
    idler.onWanted();
    return true;
  };

  const permit = (user: string, priority: Priority, purpose: Purpose): Permit => {
    const { onWanted } = purpose;
    const idler = onWanted && {
      user,
      purpose,
      onWanted,
      since: performance.now(),
      askedAt: Number.NEGATIVE_INFINITY,
    };
    if (idler) idlers.add(idler);
    const usage = usageOf(user);
    let isReleased = false;
    usage[priority]++;
    inUse[priority]++;
    const release = (): void => {
      if (isReleased) return;
      isReleased = true;
      if (idler) idlers.delete(idler);
      usage[priority]--;
      inUse[priority]--;
      forgetUnused(user, usage);
      dispatch();
    };
    return {
      release,
      releaseIdle(close) {
        const place = placeIdle(user, close);
        release();
        return place;
      },
    };
  };

  /** Grants to the first user in turn who may have a connection; who was served goes to the end. */
  const grantNext = (priority: Priority, rank: number): boolean => {
    const queue = queues[priority];
    for (const [user, waiting] of queue) {
      const next = waiting.find(({ purpose }) => rankOf(purpose) === rank);
      if (!next || !mayHave(user, priority)) continue;
      const left = waiting.filter((other) => other !== next);
      queue.delete(user);
      if (left.length > 0) queue.set(user, left);
      next.grant(permit(user, priority, next.purpose));
      return true;
    }
    return false;
  };
  const areWaited = (): boolean =>
    [...queues.background.values(), ...queues.interactive.values()].some((waiting) =>
      waiting.some(({ purpose }) => rankOf(purpose) > 0),
    );
  const rotation = createRotation(
    () => (areWaited() ? idlers.size : 0),
    (since) => {
      const [longest] = [...idlers].filter(({ purpose }) => rankOf(purpose) > 0);
      if (!longest || longest.since > since) return;
      idlers.delete(longest);
      longest.since = performance.now();
      idlers.add(longest);
      longest.onWanted();
    },
  );

  const dispatch = (): void => {
    while (ranks.some((rank) => grantNext("interactive", rank) || grantNext("background", rank)));
  };

  return {
    backoff: createBackoff(limits.backoff),
    acquire(user, { priority, signal, ...purpose }) {
      if (signal.aborted) return Promise.reject(signal.reason);
      const queue = queues[priority];
      return new Promise((resolve, reject) => {
        const onAbort = (): void => {
          const left = (queue.get(user) ?? []).filter((other) => other !== entry);
          if (left.length > 0) queue.set(user, left);
          else queue.delete(user);
          reject(signal.reason);
        };
        const grant = (granted: Permit): void => {
          signal.removeEventListener("abort", onAbort);
          resolve(granted);
        };
        const entry: Waiting = { grant, purpose };
        signal.addEventListener("abort", onAbort, { once: true });
        queue.set(user, [...(queue.get(user) ?? []), entry]);
        dispatch();
        if (!queue.get(user)?.includes(entry)) return;
        askIdler(user, rankOf(purpose), isFull(priority));
        if (rankOf(purpose) > 0 && isFull(priority)) rotation.begin();
      });
    },
    hasRoom: mayHave,
    get isCrowded() {
      return isFull("background");
    },
    noteRest() {
      for (const priority of ["interactive", "background"] as const) {
        for (const [user, waiting] of queues[priority]) {
          const rank = Math.min(...waiting.map(({ purpose }) => rankOf(purpose)));
          if (rank < 2 && askIdler(user, rank, isFull(priority))) return;
        }
      }
    },
    askToGiveWay: (user, request) => askIdler(user, rankOf(request), false),
    async makeRoom() {
      while (inUse.interactive + inUse.background + idles.size > total) {
        const [oldest] = idles;
        if (!oldest) return;
        await oldest.close();
      }
    },
    addIdle(user, close) {
      const usage = usages.get(user);
      const taken = usage ? usage.interactive + usage.background + usage.idle : 0;
      const isFull = inUse.interactive + inUse.background + idles.size >= total;
      return taken >= perUser || isFull ? undefined : placeIdle(user, close);
    },
  };
}
