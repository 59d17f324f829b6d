/** All commands by name: the one place that says what this server understands. */
import type { Command } from "../command.ts";
import { capa, noop, quit } from "./any-state.ts";
import { auth, pass, startTls, user } from "./authorization.ts";
import { dele, list, rset, stat, uidl } from "./maildrop.ts";
import { retr, top } from "./retrieve.ts";

const commands: readonly Command[] = [
  capa,
  noop,
  quit,
  user,
  pass,
  auth,
  startTls,
  stat,
  list,
  uidl,
  retr,
  top,
  dele,
  rset,
];

const byName = new Map(commands.map((command) => [command.name, command]));

/** `name` in upper case. */
export function commandNamed(name: string): Command | undefined {
  return byName.get(name);
}
