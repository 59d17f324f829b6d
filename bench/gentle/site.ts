/** An old server, its users, and servers in front of it. */
import type { Dovecot } from "../../test/helpers/dovecot.ts";
import { type Mailferry, plainListeners, runCli, startMailferry } from "../../test/helpers/mailferry.ts";
import { treeCpuMs } from "../process-cpu.ts";
import { connectThin } from "../thin-client.ts";
import type { Place } from "./measures.ts";
import { type OldServer, type OldServerOptions, startOldServer } from "./old-server.ts";
import type { Busy } from "./quiet.ts";

export interface Site {
  readonly old: OldServer;
  /** Of a user at the old server, or at a server in front of it. */
  place(user: string, port: number): Place;
  close(): Promise<void>;
}

export interface FrontServer extends Busy {
  readonly mailferry: Mailferry;
  readonly port: number;
  close(): Promise<void>;
}

export async function startSite(options: OldServerOptions): Promise<Site> {
  const old = await startOldServer(options);
  const { dovecot } = old;
  return {
    old,
    place: (user, port) => ({
      port,
      user,
      password: dovecot.passwordOf(user),
      maildir: dovecot.maildirOf(user),
      uids: options.users[user]?.uids ?? [],
    }),
    close: old.close,
  };
}

const patience = { timeoutMs: 1_800_000 };
/** It has timers and collects garbage. */
const idleServerMs = 3;

/** At its defaults, in front of the old server's port or a proxy's. */
export async function startFront(dovecot: Dovecot, imap: number, dataDir?: string): Promise<FrontServer> {
  const mailferry = await startMailferry({
    legacy: { host: dovecot.host, passwordOf: dovecot.passwordOf, ports: { imap } },
    extra: { listen: plainListeners, log: { level: "info" } },
    ...(dataDir !== undefined && { dataDir }),
  });
  return {
    mailferry,
    port: mailferry.port("imap"),
    idleMs: idleServerMs,
    cpuMs: () => treeCpuMs(mailferry.pid),
    async close() {
      await mailferry.stop();
      await mailferry.close();
    },
  };
}

/** A first login, and all mail is here. */
export async function bringOver({ mailferry, port }: FrontServer, user: string, password: string) {
  const client = await connectThin(port);
  await client.ok(`LOGIN ${user} ${password}`);
  await client.ok("SELECT INBOX");
  await client.ok("UID FETCH 1:* (FLAGS)");
  client.close();
  const { code, stderr } = await runCli(["migrate", "-c", mailferry.configFile, user], patience);
  if (code !== 0) throw new Error(stderr);
}

/** How many background pulls have come to an end since the start, with whatever outcome. */
export async function pullsEnded({ mailferry }: FrontServer): Promise<number> {
  return (await mailferry.log()).split('"pull ended"').length - 1;
}
