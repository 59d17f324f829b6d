/**
 * Several sessions change one mailbox at the same time, two of them through Mailferry and one straight on
 * the legacy server. Each keeps its view as a client does, by what it is told; at the end all views are equal.
 */
import { expect } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { withCrlf } from "../helpers/filler.ts";
import { fillOverImap } from "../helpers/filler-imap.ts";
import type { CommandResult, ImapClient } from "../helpers/imap-client.ts";
import { datedMail, ignoredOf, type LegacyKind } from "../helpers/legacy-server.ts";
import { startMailferry } from "../helpers/mailferry.ts";
import { createRandom, type Random } from "../helpers/random.ts";
import { takeSnapshot } from "../helpers/snapshot.ts";
import { diffSnapshots } from "../helpers/snapshot-diff.ts";

const user = "alice";

export async function changeFromThreeSides(
  kind: LegacyKind,
  durationMs: number,
  seed = Date.now() % 1_000_000,
): Promise<void> {
  console.log(`${kind.name}, seed ${seed}`);
  const legacy = await kind.start([user]);
  const filling = await legacy.client(user);
  await fillOverImap(filling, withCrlf(plainAccount({ seed, messages: 40, sizeBytes: 500 })), kind.layout);
  if (!kind.bearsCrowds) {
    await filling.ok("CREATE Elsewhere");
    await filling.ok("SELECT INBOX");
  }
  filling.close();
  const mailferry = await startMailferry({ legacy });
  try {
    const clients = [
      await mailferry.client(user),
      await mailferry.client(user),
      await legacy.client(user),
    ] as const;
    const views = await Promise.all(clients.map((client) => openView(client)));
    const ends = performance.now() + durationMs;
    const counts = await Promise.all(
      views.map(async (view, index) => {
        const random = createRandom(seed + index);
        let commands = 0;
        const target = kind.bearsCrowds ? "INBOX" : "Elsewhere";
        for (; performance.now() < ends; commands++) await view.run(commandOf(random, view, index, target));
        return commands;
      }),
    );
    console.log(`commands ${counts.join(" ")}`);
    // A session of Mailutils is told nothing of the others, and writes down what it did when it leaves.
    if (!kind.bearsCrowds) await views[2]?.run("SELECT INBOX");
    const looks = async (): Promise<string[][]> => {
      for (const view of [...views, ...views]) await view.run("NOOP");
      return Promise.all(views.map((view) => view.uidsAndFlags()));
    };
    // Each is told what the others did last: within a second, for the legacy server is not asked more often.
    const areEqual = ([first, ...others]: string[][]): boolean =>
      others.every((other) => JSON.stringify(other) === JSON.stringify(first));
    await expect.poll(async () => areEqual(await looks()), { timeout: 20_000, interval: 300 }).toBe(true);
    const [first, ...others] = await looks();
    for (const other of others) expect(other).toEqual(first);
    for (const view of views) expect(await view.uidsBySearch()).toEqual(view.count());
    const [there, here] = [
      await takeSnapshot(clients[2], kind.looks),
      await takeSnapshot(clients[0], kind.looks),
    ];
    expect(diffSnapshots(there, here, { ignore: ignoredOf(kind) })).toEqual([]);
  } finally {
    await mailferry.close();
    await legacy.close();
  }
}

interface ClientView {
  run(command: readonly (string | Buffer)[] | string): Promise<void>;
  /** How many messages there are, by EXISTS and EXPUNGE. */
  count(): number;
  uidsAndFlags(): Promise<string[]>;
  uidsBySearch(): Promise<number>;
}

async function openView(client: ImapClient): Promise<ClientView> {
  let count = 0;
  const note = ({ untagged }: CommandResult): void => {
    for (const line of untagged) {
      // Not the EXPUNGED of Mailutils, which an EXISTS follows.
      const match = /^\* (\d+) (EXISTS|EXPUNGE)$/.exec(line.toString("latin1", 0, 40));
      if (match?.[2] === "EXISTS") count = Number(match[1]);
      if (match?.[2] === "EXPUNGE") {
        expect(Number(match[1])).toBeLessThanOrEqual(count);
        count--;
      }
    }
  };
  note(await client.ok("SELECT INBOX"));
  return {
    async run(command) {
      // NO is an answer too: the message may have been expunged by another.
      note(await client.command(...(typeof command === "string" ? [command] : command)));
    },
    count: () => count,
    async uidsAndFlags() {
      const { untagged } = await client.ok("UID FETCH 1:* FLAGS");
      return untagged
        .map((line) => /UID (\d+)/.exec(line.toString("latin1")) && line.toString("latin1"))
        .filter((line) => line !== null)
        .map((line) => {
          const uid = /UID (\d+)/.exec(line)?.[1];
          const flags = /FLAGS \(([^)]*)\)/.exec(line)?.[1]?.split(" ") ?? [];
          return `${uid} ${flags
            .filter((flag) => flag !== "\\Recent")
            .toSorted()
            .join(" ")}`;
        })
        .toSorted();
    },
    async uidsBySearch() {
      const { untagged } = await client.ok("UID SEARCH ALL");
      const line = untagged.map(String).find((text) => text.startsWith("* SEARCH")) ?? "";
      return line.split(" ").filter((word) => /^\d+$/.test(word)).length;
    },
  };
}

/** `target`: of what is added. Not where three are at work, for a server that does not bear it. */
function commandOf(
  random: Random,
  view: ClientView,
  side: number,
  target: string,
): readonly (string | Buffer)[] {
  const count = Math.max(1, view.count());
  const one = 1 + random.below(count);
  const flag = random.pick(["\\Seen", "\\Flagged", "\\Answered", "Work", `Side${side}`]);
  switch (random.below(9)) {
    case 0:
      return [`STORE ${one} +FLAGS (${flag})`];
    case 1:
      return [`STORE ${one} -FLAGS.SILENT (${flag})`];
    case 2:
      return [`APPEND ${target} `, datedMail(`side ${side}`, `${random.below(1000)}`)];
    case 3:
      return count < 60 ? [`COPY ${one} ${target}`] : [`STORE ${one} +FLAGS.SILENT (\\Deleted)`];
    case 4:
      return [`STORE ${one} +FLAGS (\\Deleted)`];
    case 5:
      return ["EXPUNGE"];
    case 6:
      return [`FETCH ${one} (UID FLAGS BODY.PEEK[TEXT])`];
    case 7:
      return ["UID SEARCH UNSEEN"];
    default:
      return ["NOOP"];
  }
}
