/** All measures on an account that is completely mirrored: timed first, then counted through a proxy. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startCountingProxy } from "../../test/helpers/counting-proxy.ts";
import { countCommands } from "./counting.ts";
import type { Measure } from "./measures.ts";
import { settleIndex } from "./old-server.ts";
import { type Row, runRounds } from "./rounds.ts";
import { bringOver, type FrontServer, type Site, startFront } from "./site.ts";

export interface MailboxRun {
  readonly site: Site;
  readonly measures: readonly Measure[];
  readonly rounds: number;
  readonly condstore: boolean;
  /** Both ways lead straight to the old server: how far apart equal things are measured. */
  readonly control: boolean;
  /** Users with equal mail, each on its own way. */
  readonly users: { readonly straight: string; readonly through: string };
  readonly onProgress: (text: string) => void;
}

export async function mailboxRows(run: MailboxRun): Promise<Row[]> {
  const dataDir = await mkdtemp(join(tmpdir(), "gentle-data-"));
  try {
    const timed = await timeAll(run, dataDir);
    const counted = run.control ? new Map<string, string>() : await countAll(run, dataDir);
    return run.measures.map(({ title, name }) => ({
      ...(timed.get(name) ?? { title }),
      commands: counted.get(name) ?? "",
    }));
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

function timeAll(run: MailboxRun, dataDir: string): Promise<Map<string, Row>> {
  const { site, measures, users, rounds, condstore, control, onProgress } = run;
  const { dovecot } = site.old;
  return withFront(site, site.old.port, dataDir, async (front) => {
    if (!control) await bringOver(front, users.through, dovecot.passwordOf(users.through));
    for (const user of Object.values(users)) await settleIndex(dovecot, user, condstore);
    const places = {
      straight: site.place(users.straight, site.old.port),
      through: site.place(users.through, control ? site.old.port : front.port),
    };
    const rows = new Map<string, Row>();
    for (const measure of measures) {
      if (measure.countedOnly) continue;
      onProgress(measure.name);
      rows.set(measure.name, await runRounds(measure, places, [site.old, front], rounds));
    }
    return rows;
  });
}

async function countAll(run: MailboxRun, dataDir: string): Promise<Map<string, string>> {
  const { site, measures, users, onProgress } = run;
  const proxy = await startCountingProxy(site.old.port);
  try {
    return await withFront(site, proxy.port, dataDir, async (front) => {
      const counted = new Map<string, string>();
      for (const measure of measures) {
        onProgress(`${measure.name}, counted`);
        const place = site.place(users.through, front.port);
        counted.set(measure.name, await countCommands(measure, place, proxy, [site.old, front]));
      }
      return counted;
    });
  } finally {
    await proxy.close();
  }
}

async function withFront<T>(
  site: Site,
  oldPort: number,
  dataDir: string,
  work: (front: FrontServer) => Promise<T>,
): Promise<T> {
  const front = await startFront(site.old.dovecot, oldPort, dataDir);
  try {
    return await work(front);
  } finally {
    await front.close();
  }
}
