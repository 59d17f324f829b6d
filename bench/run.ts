/** `npm run bench -- NAME`: side-by-side measurements. */
import { cutoverHold } from "./cutover-hold.ts";
import { firstLogin } from "./first-login.ts";
import { gentle } from "./gentle.ts";
import { hostile } from "./hostile.ts";
import { migrate } from "./migrate.ts";

const benches: Readonly<Record<string, (args: readonly string[]) => Promise<void>>> = {
  migrate,
  "first-login": firstLogin,
  hostile,
  "cutover-hold": cutoverHold,
  gentle,
};

const [name = "", ...args] = process.argv.slice(2);
const bench = benches[name];
if (bench) await bench(args);
else {
  process.stderr.write(`usage: npm run bench -- ${Object.keys(benches).join(" | ")}\n`);
  process.exitCode = 2;
}
