/**
 * How gentle the server is to the old server behind it, and to those who are used to that: what mail programs
 * do all day, straight at an old Dovecot and through Mailferry, in turn; the old server's processor time and
 * the commands that reach it. On disk and on tmpfs, with mailboxes of three sizes, with and without CONDSTORE.
 *
 * `npm run bench -- gentle [--messages 1000,20000,100000] [--on disk,tmpfs] [--condstore yes,no] [--rounds N]
 * [--only NAME,NAME] [--folder DIR] [--fsync optimized|never] [--ahead] [--control]`
 *
 * NAME: `first-login`, `bystander`, or of gentle/measures.ts. `--ahead` lets nobody else on the machine go first;
 * `--control` leads both ways straight to the old server and shows how far apart equal things are measured.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { atProcessEnd } from "../test/helpers/process-end.ts";
import { testCertificate } from "../test/helpers/tls.ts";
import { goAhead } from "./gentle/ahead.ts";
import { bystander } from "./gentle/bystander.ts";
import { firstLogins } from "./gentle/first-login.ts";
import { mailboxRows } from "./gentle/mailbox-rows.ts";
import { measures } from "./gentle/measures.ts";
import { type Template, writeTemplate } from "./gentle/old-server.ts";
import { table } from "./gentle/report.ts";
import type { Row } from "./gentle/rounds.ts";
import { startSite } from "./gentle/site.ts";

const names = [...measures.map(({ name }) => name), "first-login", "bystander"];
/** What `--control` can do without a server in between. */
const controlled = measures.flatMap(({ name, countedOnly }) => (countedOnly ? [] : [name]));
const mailBytes = 2_000;
const smallMessages = 500;
/** Accounts that have come over before a first login is measured. */
const [accountsBefore, messagesBefore] = [8, 4_000];

interface Options {
  readonly messages: readonly number[];
  readonly media: readonly string[];
  readonly condstore: readonly string[];
  readonly rounds: number;
  readonly only: ReadonlySet<string>;
  readonly folder: string;
  readonly control: boolean;
  readonly settings: { readonly fsync: string; readonly ahead: boolean };
}

export async function gentle(args: readonly string[]): Promise<void> {
  const options = readOptions(args);
  // It is made once, and outlives the folder of the first medium.
  testCertificate();
  if (options.settings.ahead) goAhead(process.pid);
  for (const medium of options.media) {
    await inFolder(medium === "tmpfs" ? "/dev/shm" : options.folder, async (folder) => {
      if (wantsTables(options)) {
        const usual = await writeTemplate(join(folder, "usual"), messagesBefore, mailBytes);
        await measureSizes(medium, folder, usual, options);
      }
      if (options.only.has("bystander")) {
        const { settings } = options;
        const small = await writeTemplate(join(folder, "small"), smallMessages, mailBytes);
        const lines = await bystander({ folder, small, settings, onProgress: progress });
        process.stdout.write(`\n### a bystander, ${medium}\n\n${lines}\n`);
      }
    });
  }
}

async function measureSizes(
  medium: string,
  folder: string,
  usual: Template,
  options: Options,
): Promise<void> {
  for (const messages of options.messages) {
    progress(`${medium}, ${messages}: filling`);
    const template = await writeTemplate(join(folder, `template-${messages}`), messages, mailBytes);
    for (const condstore of options.condstore) {
      const title = `${options.control ? "control: " : ""}${messages} messages, ${medium}, ${condstore === "yes" ? "with" : "without"} CONDSTORE`;
      const before = loadavg()[0]?.toFixed(1);
      const rows = await measureOne(title, template, usual, condstore === "yes", options);
      const notes = `rounds: ${options.rounds}; mail_fsync: ${options.settings.fsync}; load: ${before}, ${loadavg()[0]?.toFixed(1)}`;
      process.stdout.write(`\n### ${title}\n\n${notes}\n\n${table(rows)}\n`);
    }
    await rm(template.maildir, { recursive: true });
  }
}

async function measureOne(
  title: string,
  template: Template,
  usual: Template,
  condstore: boolean,
  { rounds, only, control, settings }: Options,
): Promise<Row[]> {
  const first = {
    timed: rangeOf(rounds).map((round) => `first${round}`),
    counted: "counted",
    before: only.has("first-login") ? rangeOf(accountsBefore).map((number) => `before${number}`) : [],
  };
  const users = { straight: "straight", through: "through" };
  const wanted = measures.filter(({ name }) => only.has(name));
  const equal = [
    ...(wanted.length > 0 ? Object.values(users) : []),
    ...(only.has("first-login") ? [...first.timed, first.counted] : []),
  ];
  const onProgress = (text: string): void => progress(`${title}: ${text}`);
  onProgress("starting");
  const site = await startSite({
    condstore,
    ...settings,
    users: Object.fromEntries([
      ...first.before.map((user) => [user, usual] as const),
      ...equal.map((user) => [user, template] as const),
    ]),
  });
  try {
    const rows: Row[] = [];
    if (wanted.length > 0)
      rows.push(
        ...(await mailboxRows({ site, measures: wanted, rounds, condstore, control, users, onProgress })),
      );
    if (only.has("first-login")) {
      onProgress("first logins");
      rows.push(...(await firstLogins(site, first)));
    }
    return rows;
  } finally {
    await site.close();
  }
}

/** Everything that is started meanwhile keeps its files in a folder of its own there. */
async function inFolder(parent: string, work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(parent, "gentle-"));
  const cleanup = atProcessEnd(0, [folder]);
  // Dovecot's unprivileged processes must reach what is theirs.
  await chmod(folder, 0o755);
  const before = process.env["TMPDIR"];
  process.env["TMPDIR"] = folder;
  try {
    await work(folder);
  } finally {
    if (before === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = before;
    cleanup.dismiss();
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      messages: { type: "string", default: "1000,20000,100000" },
      on: { type: "string", default: "disk,tmpfs" },
      condstore: { type: "string", default: "yes,no" },
      rounds: { type: "string", default: "3" },
      only: { type: "string" },
      folder: { type: "string", default: tmpdir() },
      fsync: { type: "string", default: "optimized" },
      ahead: { type: "boolean", default: false },
      control: { type: "boolean", default: false },
    },
  });
  const allowed = values.control ? controlled : names;
  return {
    messages: values.messages.split(",").map(Number),
    media: oneOf(["disk", "tmpfs"], values.on),
    condstore: oneOf(["yes", "no"], values.condstore),
    rounds: Number(values.rounds),
    only: new Set(values.only === undefined ? allowed : oneOf(allowed, values.only)),
    folder: values.folder,
    control: values.control,
    settings: { fsync: values.fsync, ahead: values.ahead },
  };
}

function oneOf(allowed: readonly string[], list: string): string[] {
  const chosen = list.split(",");
  const unknown = chosen.filter((one) => !allowed.includes(one));
  if (unknown.length > 0) throw new Error(`${unknown.join()}: expected ${allowed.join()}`);
  return chosen;
}

function wantsTables({ only }: Options): boolean {
  return [...only].some((name) => name !== "bystander");
}

function rangeOf(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

function progress(text: string): void {
  process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);
}
