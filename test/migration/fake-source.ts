/** An `ImapSource` of one mailbox whose answers a test holds back and lets go: for races no server plays on demand. */
import { MailError } from "../../src/errors.ts";
import type { BodySink, Examined, ImapSource, MailboxLease, Priority } from "../../src/legacy/source.ts";
import { type Flags, flagsOf } from "../../src/mail/flags.ts";
import { modSeq, type Uid, uid, uidValidity } from "../../src/mail/ids.ts";
import { formatNumberSet } from "../../src/mail/number-set.ts";

export interface FakeSource extends ImapSource {
  /** `PRIORITY UIDS`, one entry for each FETCH of bodies. */
  readonly bodyFetches: readonly string[];
  /** `FLAGS UIDS` and `META UIDS`, one entry for each FETCH of flags or of metadata. */
  readonly fetches: readonly string[];
}

export interface FakeSourceOptions {
  /** By UID; a test may take some away. */
  readonly messages: ReadonlyMap<number, string>;
  /** 0: not told. */
  readonly uidValidity?: () => number;
  /** Runs before the UIDs are listed. */
  readonly beforeList?: (priority: Priority) => Promise<void>;
  /** Of each message as it is now. */
  readonly flagsOf?: (uid: Uid) => readonly string[];
  /** Runs before the flags of a message are sent by a FETCH of nothing else. */
  readonly beforeFlags?: (uid: Uid) => Promise<void>;
  /** Runs before the bytes of a message are sent; a rejection is a lost connection. */
  readonly beforeBody?: (uid: Uid, priority: Priority) => Promise<void>;
  /** Puts a test's own answers in place of these. */
  readonly adjust?: (lease: MailboxLease) => MailboxLease;
  /** So many connections at a time; any number without it. */
  readonly connections?: number;
  /** These are never answered with bytes. */
  readonly silent?: ReadonlySet<number>;
}

export function createFakeSource(options: FakeSourceOptions): FakeSource {
  const { messages, silent = new Set<number>() } = options;
  const listed = (): Uid[] => [...messages.keys()].sort((a, b) => a - b).map(uid);
  let highest = 0;
  const uidNext = (): Uid => {
    highest = Math.max(highest, listed().at(-1) ?? 0);
    return uid(highest + 1);
  };
  uidNext();
  const bodyFetches: string[] = [];
  const fetches: string[] = [];
  const flagsNow = (each: Uid): Flags => flagsOf(options.flagsOf?.(each) ?? []);
  let free = options.connections ?? Number.POSITIVE_INFINITY;
  const queue: (() => void)[] = [];
  const unused = (): never => {
    throw new Error("not part of this fake");
  };

  const validity = (): number => options.uidValidity?.() ?? 1_275_660_208;
  const examined = (): Examined => ({
    uidValidity: validity() === 0 ? undefined : uidValidity(validity()),
    uidNext: uidNext(),
    exists: messages.size,
    firstUnseen: undefined,
    flags: [],
    permanentFlags: [],
    readOnly: true,
    highestModSeq: undefined,
    hasNoModSeqs: false,
  });

  const leaseFor = (priority: Priority): MailboxLease => ({
    capabilities: new Set(),
    append: unused,
    changeName: unused,
    store: unused,
    expunge: unused,
    copy: unused,
    move: unused,
    listing: unused,
    vanishedSince: async () => undefined,
    sort: async () => undefined,
    thread: async () => undefined,
    status: unused,
    examined: examined(),
    altersMail: false,
    isNew: true,
    ask: async () => undefined,
    told: nothingTold(messages.size),
    watch: unused,
    look: async () => examined(),
    tellFlags: async () => true,
    examineAgain: async () => examined(),
    async listUids() {
      const uids = listed();
      await options.beforeList?.(priority);
      return uids;
    },
    async fetchMeta(set, onMeta) {
      fetches.push(`META ${formatNumberSet(set)}`);
      for (const each of within(set, listed())) {
        onMeta({
          uid: each,
          flags: flagsNow(each),
          internalDate: { epochSeconds: 1_400_000_000, zoneMinutes: 0 },
          sizeBytes: Buffer.byteLength(messages.get(each) ?? ""),
          modSeq: modSeq(0n),
        });
      }
    },
    async fetchFlags(set, onFlags) {
      fetches.push(`FLAGS ${formatNumberSet(set)}`);
      for (const each of within(set, listed())) {
        await options.beforeFlags?.(each);
        if (messages.has(each)) onFlags({ uid: each, flags: flagsNow(each), modSeq: modSeq(0n) });
      }
    },
    fetchPartly: async () => undefined,
    listingGap: undefined,
    lastUid: async () => listed().at(-1),
    fetchHeaders: unused,
    fetchStructures: unused,
    async fetchBodies(set, sink) {
      const asked = within(set, listed());
      bodyFetches.push(`${priority} ${asked.join(",")}`);
      for (const each of asked) {
        await options.beforeBody?.(each, priority);
        if (!silent.has(each)) await send(sink, each, messages.get(each) ?? "");
      }
    },
    isWanted: () => false,
    listDeleted: unused,
    search: unused,
  });

  const source: FakeSource = {
    bodyFetches,
    fetches,
    use: unused,
    isCrowded: false,
    isShared: () => false,
    shareMailbox: (name, request, work) => source.useMailbox(name, request, work),
    async useMailbox(_name, { priority, signal }, work) {
      if (signal.aborted) throw new MailError("UNAVAILABLE", "aborted", signal.reason);
      if (free > 0) free--;
      else await new Promise<void>((resolve) => queue.push(resolve));
      try {
        const lease = leaseFor(priority);
        return await work(options.adjust?.(lease) ?? lease);
      } finally {
        const next = queue.shift();
        if (next) next();
        else free++;
      }
    },
    trouble: () => undefined,
    close: async () => undefined,
  };
  return source;
}

function nothingTold(exists: number): MailboxLease["told"] {
  return {
    hasNews: false,
    exists,
    expunged: 0,
    vanished: [],
    isPartial: false,
    flagNames: undefined,
    permanentFlags: undefined,
    take: () => ({ flags: [], unnamed: [], expunged: 0, vanished: [], exists, flagNames: undefined }),
    takeFlags: () => [],
  };
}

async function send(sink: BodySink, to: Uid, text: string): Promise<void> {
  const bytes = Buffer.from(text, "latin1");
  sink.begin(to, bytes.length);
  await sink.write(bytes);
  await sink.end();
}

function within(set: readonly { readonly from: number; readonly to: number }[], uids: readonly Uid[]): Uid[] {
  return uids.filter((each) => set.some(({ from, to }) => each >= from && each <= to));
}
