/** fetchmail, and what clients like it need: they leave mail on the server, and hand on what is new. */
import { execFile } from "node:child_process";
import { chmod, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Wherever it is folded: getmail folds long ones. */
export const subjectOf = (text: string): string => /^Subject:\s*(.*?)\r?$/m.exec(text)?.[1] ?? "none";

/** What is in a Maildir, which is emptied. */
export async function takeAll(maildir: string): Promise<readonly string[]> {
  const files = (await readdir(join(maildir, "new"))).map((name) => join(maildir, "new", name));
  const texts = await Promise.all(files.map((file) => readFile(file, "latin1")));
  for (const file of files) await rm(file);
  return texts.map(subjectOf).toSorted();
}

export async function makeMaildir(folder: string): Promise<string> {
  const maildir = join(folder, "received");
  for (const part of ["cur", "new", "tmp"]) await mkdir(join(maildir, part), { recursive: true });
  return maildir;
}

/** A delivery agent for those that want one: a file for each message. */
export async function makeDelivery(folder: string, maildir: string): Promise<string> {
  const script = join(folder, "deliver");
  await writeFile(script, `#!/bin/sh\ncat >"$(mktemp ${join(maildir, "new")}/XXXXXXXX)"\n`);
  await chmod(script, 0o755);
  return script;
}

export const fetcherEnv = (folder: string) => ({ ...process.env, HOME: folder, FETCHMAILHOME: folder });

export interface FetchmailLogin {
  readonly protocol: "imap" | "pop3";
  readonly port: number;
  readonly user: string;
  readonly password: string;
}

/** With `keep`: by POP3 it knows messages by their UIDLs, by IMAP by \Seen. The subjects of what it took, sorted. */
export async function fetchmail(
  { protocol, port, user, password }: FetchmailLogin,
  folder: string,
): Promise<readonly string[]> {
  const maildir = await makeMaildir(folder);
  const mda = await makeDelivery(folder, maildir);
  const known = protocol === "pop3" ? " uidl" : "";
  const settings = `poll 127.0.0.1 protocol ${protocol} port ${port}${known}: user "${user}" password "${password}" keep no rewrite sslproto "" mda "${mda}"\n`;
  await writeFile(join(folder, "rc"), settings, { mode: 0o600 });
  const options = ["-f", join(folder, "rc"), "-i", join(folder, "ids"), "--pidfile", join(folder, "pid")];
  // 1: there was nothing to fetch.
  await run("fetchmail", [...options, "--nodetach", "--nosyslog"], { env: fetcherEnv(folder) }).catch(
    (error) => {
      if (error.code !== 1) throw error;
    },
  );
  return takeAll(maildir);
}
