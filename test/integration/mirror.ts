/**
 * A legacy server while everybody works: two clients through Mailferry, one straight on it, and new mail that is
 * delivered there. At the end both sides and every view are equal, POP3's included.
 */
import { expect } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { type AccountPlan, wireName, withCrlf } from "../helpers/filler.ts";
import { type ImapClient, quoted } from "../helpers/imap-client.ts";
import { datedMail, ignoredOf, type LegacyKind, type LegacyServer } from "../helpers/legacy-server.ts";
import { type Mailferry, plainListeners, runCli, startMailferry } from "../helpers/mailferry.ts";
import { seenMaildrop } from "../helpers/pop3-maildrop.ts";
import { createRandom, type Random } from "../helpers/random.ts";
import { takeSnapshot } from "../helpers/snapshot.ts";
import { diffSnapshots } from "../helpers/snapshot-diff.ts";

const user = "alice";

export interface MirrorRun {
  readonly messages: number;
  readonly mailboxes: number;
  readonly durationMs: number;
  readonly seed?: number;
}

export async function workOnBothSides(
  kind: LegacyKind,
  { messages, mailboxes, durationMs, seed = Date.now() % 1_000_000 }: MirrorRun,
): Promise<void> {
  console.log(`${kind.name}, seed ${seed}`);
  const legacy = await kind.start([user]);
  const plan = withCrlf(plainAccount({ seed, messages, mailboxes, sizeBytes: 800 }));
  const names = plan.mailboxes.map(({ path }) => wireName(path, kind.layout));
  await fillInParallel(legacy, plan, names);
  // As people have done before: Mailutils gives UIDs to those that came then, and two who do it at once mix them up.
  const first = await legacy.client(user);
  for (const name of names) await first.ok(`SELECT ${quoted(name)}`);
  first.close();
  const mailferry = await startInFrontOf(legacy);
  try {
    const clients = [
      await mailferry.client(user),
      await mailferry.client(user),
      await legacy.client(user),
    ] as const;
    const ends = performance.now() + durationMs;
    const goesOn = (): boolean => performance.now() < ends;
    const counts = await Promise.all([
      ...clients.map((client, index) => {
        const places = placesOf(kind, names, client === clients[2]);
        return change(client, createRandom(seed + index), places, goesOn);
      }),
      deliver(legacy, goesOn),
    ]);
    console.log(`commands ${counts.join(" ")}`);
    const migrated = await runCli(["migrate", "-c", mailferry.configFile, user]);
    expect(migrated.code, migrated.stdout + migrated.stderr).toBe(0);
    // Of what is selected a server's STATUS may be old.
    for (const client of clients) await client.ok("UNSELECT").catch(() => client.ok("CLOSE"));
    const snapshotOf = (client: ImapClient) => takeSnapshot(client, kind.looks);
    // A server that does not bear two at a time shows them to one as empty which the other has just looked at.
    const straight = await snapshotOf(clients[2]);
    const [one, other] = [await snapshotOf(clients[0]), await snapshotOf(clients[1])];
    expect(diffSnapshots(straight, one, { ignore: ignoredOf(kind) })).toEqual([]);
    expect(diffSnapshots(one, other, { ignore: ["RECENT"] })).toEqual([]);
    const maildropAt = (port: number) => seenMaildrop(port, user, undefined, kind.looks?.withoutFields);
    expect(await maildropAt(mailferry.port("pop3"))).toEqual(await maildropAt(legacy.ports.pop3));
    const verified = await runCli(["verify", "-c", mailferry.configFile, user]);
    expect(verified.code, verified.stdout).toBe(0);
  } finally {
    await mailferry.close();
    await legacy.close();
  }
}

function startInFrontOf(legacy: LegacyServer): Promise<Mailferry> {
  const pop3 = { host: legacy.host, port: legacy.ports.pop3, tls: "none" };
  return startMailferry({ legacy, extra: { listen: plainListeners }, legacyExtra: { pop3 } });
}

/** By several at once: some servers take their time for each message. */
async function fillInParallel(
  legacy: LegacyServer,
  plan: AccountPlan,
  names: readonly string[],
): Promise<void> {
  const work = plan.mailboxes.map((mailbox, index) => ({ mailbox, name: names[index] ?? "INBOX" }));
  const fill = async (): Promise<void> => {
    const client = await legacy.client(user);
    for (let next = work.shift(); next; next = work.shift()) {
      // Dovecot may say that it exists when others are made at the same moment.
      if (next.name !== "INBOX") await client.command(`CREATE ${quoted(next.name)}`);
      for (const { bytes, flags } of next.mailbox.messages())
        await client.ok(
          `APPEND ${quoted(next.name)} (${flags.filter((flag) => flag !== "\\Deleted").join(" ")}) `,
          bytes,
        );
    }
    client.close();
  };
  await Promise.all(Array.from({ length: 8 }, fill));
}

interface Places {
  readonly opened: readonly string[];
  /** Of APPEND and COPY. */
  readonly targets: readonly string[];
}

/**
 * All over, where the server bears it. Otherwise mail comes into INBOX by delivery, into a third of the others through
 * Mailferry, and into another by the client that is straight on the server; this one opens the last third only. Flags
 * are changed and messages expunged there by all of them, and through Mailferry everywhere.
 */
function placesOf({ bearsCrowds }: LegacyKind, names: readonly string[], isStraight: boolean): Places {
  if (bearsCrowds) return { opened: names, targets: names };
  const third = (wanted: number): readonly string[] =>
    names.filter((name, index) => name !== "INBOX" && index % 3 === wanted);
  return isStraight ? { opened: third(0), targets: third(1) } : { opened: names, targets: third(2) };
}

async function change(
  client: ImapClient,
  random: Random,
  { opened, targets }: Places,
  goesOn: () => boolean,
): Promise<number> {
  let commands = 0;
  while (goesOn()) {
    const name = random.pick(opened);
    const { untagged } = await client.ok(`SELECT ${quoted(name)}`);
    const exists = Number(/\* (\d+) EXISTS/.exec(untagged.join("\n"))?.[1] ?? 0);
    for (let count = 0; count < 6 && goesOn(); count++, commands++) {
      const { status, tagged } = await client.command(...commandOf(random, exists, targets));
      // NO is an answer too: the message may have been expunged by another. BAD: a number that is no more.
      expect(["OK", "NO", "BAD"], tagged.toString("latin1")).toContain(status);
    }
  }
  return commands;
}

function commandOf(random: Random, exists: number, targets: readonly string[]): readonly (string | Buffer)[] {
  const one = 1 + random.below(Math.max(1, exists - 5));
  const target = quoted(random.pick(targets));
  switch (random.below(10)) {
    case 0:
    case 1:
      return [`STORE ${one} +FLAGS (${random.pick(["\\Seen", "\\Flagged", "\\Answered"])})`];
    case 2:
      return [`STORE ${one} -FLAGS.SILENT (${random.pick(["\\Seen", "\\Flagged"])})`];
    case 3:
      return [`APPEND ${target} (\\Seen) `, datedMail("appended", random.words(20))];
    case 4:
      return [`COPY ${one} ${target}`];
    case 5:
      return [`STORE ${one} +FLAGS (\\Deleted)`];
    case 6:
      return ["EXPUNGE"];
    case 7:
      return [`FETCH ${one} (UID FLAGS BODY.PEEK[])`];
    case 8:
      return ["UID SEARCH UNSEEN"];
    default:
      return ["NOOP"];
  }
}

async function deliver(legacy: LegacyServer, goesOn: () => boolean): Promise<number> {
  const client = await legacy.client(user);
  const append = (message: Buffer) => client.ok("APPEND INBOX ", message);
  let delivered = 0;
  while (goesOn()) {
    const message = datedMail(`new ${delivered++}`, "new");
    await (legacy.deliver?.(user, message) ?? append(message));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  client.close();
  return delivered;
}
