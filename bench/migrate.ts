/**
 * A whole account over loopback, from nothing: Mailferry's `migrate` beside the seed's own `doveadm
 * backup` and mbsync. 20,000 messages of 8 KB and 20 of 5 MB, on tmpfs and on disk, interleaved, medians.
 *
 * `npm run bench -- migrate [--rounds N] [--messages N] [--only tmpfs|disk]`
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { plainAccount } from "../test/helpers/account-plans.ts";
import { type Dovecot, startDovecot } from "../test/helpers/dovecot.ts";
import { fillAccount } from "../test/helpers/filler.ts";
import { type Contender, interleave, ratioTable, runCommand, seconds } from "./measure.ts";
import { doveadmBackup, mbsync } from "./peers.ts";

const user = "bench";
const cli = resolve(import.meta.dirname, "../src/cli.ts");

export async function migrate(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string", default: "5" },
      messages: { type: "string", default: "20000" },
      only: { type: "string" },
    },
  });
  const legacy = await startDovecot({ users: [user], started: false });
  try {
    const messages = Number(values.messages);
    await fillAccount(
      legacy,
      user,
      plainAccount({
        seed: 1,
        messages,
        sizeBytes: 8_000,
        large: { count: Math.ceil(messages / 1000), sizeBytes: 5_000_000 },
      }),
    );
    await legacy.start();
    for (const [where, root] of [
      ["tmpfs", "/dev/shm"],
      ["disk", tmpdir()],
    ] as const) {
      if (values.only && values.only !== where) continue;
      await measureIn(where, root, legacy, Number(values.rounds));
    }
  } finally {
    await legacy.close();
  }
}

async function measureIn(where: string, root: string, legacy: Dovecot, rounds: number): Promise<void> {
  const folder = await mkdtemp(join(root, "mailferry-bench-"));
  try {
    const setup = { legacy, user, folder };
    const contenders = [
      mailferryMigrate(legacy, folder),
      doveadmBackup("doveadm backup", setup, []),
      doveadmBackup("doveadm backup, mail_prefetch_count=20", setup, ["mail_prefetch_count=20"]),
      mbsync(setup),
    ];
    const measured = await interleave(contenders, rounds);
    process.stdout.write(`\n### migrate, data on ${where}\n\n${ratioTable(measured)}\n`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The command as an operator runs it: start-up of the process and making all durable are in the time. */
function mailferryMigrate(legacy: Dovecot, folder: string): Contender {
  const work = join(folder, "mailferry");
  return {
    name: "mailferry migrate",
    async run() {
      await rm(work, { recursive: true, force: true });
      await mkdir(work);
      const config = join(work, "mailferry.yaml");
      const imap = { host: legacy.host, port: legacy.ports.imap, tls: "none" };
      await writeFile(
        config,
        JSON.stringify({
          dataDir: join(work, "data"),
          hostname: "bench.example.com",
          listen: [{ protocol: "imap", address: "127.0.0.1", port: 0, tls: "none" }],
          legacy: [{ domains: ["*"], imap }],
        }),
      );
      await writeFile(join(work, "password"), legacy.passwordOf(user));
      const args = [cli, "migrate", "-c", config, user, "--password-file", join(work, "password")];
      const taken = await seconds(() =>
        runCommand(process.execPath, args, { logFile: join(folder, "mailferry.log") }),
      );
      await rm(work, { recursive: true, force: true });
      return taken;
    },
  };
}
