/** All commands by name: the one place that says what this server understands. */
import type { Command } from "../command.ts";
import { capability, id, logout, noop, startTls } from "./any-state.ts";
import { append } from "./append.ts";
import { authenticate, login } from "./authenticate.ts";
import { copy, move, uidCopy, uidMove } from "./copy.ts";
import { enable } from "./enable.ts";
import { expunge, uidExpunge } from "./expunge.ts";
import { fetch, uidFetch } from "./fetch.ts";
import { idle } from "./idle.ts";
import { list, lsub } from "./list.ts";
import { create, deleteMailbox, rename, subscribe, unsubscribe } from "./names.ts";
import { namespace } from "./namespace.ts";
import { search, uidSearch } from "./search.ts";
import { check, close, examine, select, unselect } from "./select.ts";
import { sort, uidSort } from "./sort.ts";
import { status } from "./status.ts";
import { store, uidStore } from "./store.ts";
import { thread, uidThread } from "./thread.ts";

const commands: readonly Command[] = [
  capability,
  noop,
  idle,
  logout,
  id,
  startTls,
  login,
  authenticate,
  enable,
  namespace,
  list,
  lsub,
  status,
  create,
  deleteMailbox,
  rename,
  subscribe,
  unsubscribe,
  select,
  examine,
  check,
  close,
  unselect,
  fetch,
  uidFetch,
  search,
  uidSearch,
  sort,
  uidSort,
  thread,
  uidThread,
  store,
  uidStore,
  expunge,
  uidExpunge,
  copy,
  uidCopy,
  move,
  uidMove,
  append,
];

const byName = new Map(commands.map((command) => [command.name, command]));

/** `name` in upper case. */
export function commandNamed(name: string): Command | undefined {
  return byName.get(name);
}
