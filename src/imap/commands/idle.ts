/** IDLE (RFC 2177): the client is told what happens, when it happens, until it says DONE. */
import { type Call, define, Farewell, nothing } from "../command.ts";
import { bad, ok, type Reply, untagged } from "../formatter.ts";
import { writeNotices } from "../notices.ts";
import type { Authenticated, Selected } from "../state.ts";

/** A line now and then keeps NAT tables and phones from forgetting the connection; Dovecot's own figure. */
const stillHereMs = 2 * 60_000;
/** RFC 2177 3: a client begins anew every 29 minutes; who does not is gone. */
const maxIdleMs = 30 * 60_000;

export const idle = define({ name: "IDLE", state: "authenticated", parse: nothing, run: waitForNews });

type IdleCall = Call<Authenticated | Selected, undefined>;

async function waitForNews({ session, state, output, readLineOrWake }: IdleCall): Promise<Reply> {
  const startedMs = performance.now();
  const timeLeftMs = (): number => startedMs + maxIdleMs - performance.now();
  const stillHere = setInterval(() => {
    output.write(untagged("OK Still here"));
    output.send();
  }, stillHereMs);
  session.onNews = session.wake;
  output.write("+ idling\r\n");
  try {
    for (;;) {
      if (state.kind === "selected") await writeNotices(state, output, { expunges: true });
      output.send();
      const next = await readLineOrWake(timeLeftMs);
      if (next === undefined)
        throw new Farewell(timeLeftMs() > 0 ? "Server shutting down." : "Disconnected for inactivity.");
      if (next.kind === "line")
        return next.text.toUpperCase() === "DONE" ? ok("Idle completed.") : bad("Expected DONE.");
      if (state.kind === "selected" && state.view.gone !== undefined) return ok("Idle completed.");
    }
  } finally {
    session.onNews = undefined;
    clearInterval(stillHere);
  }
}
