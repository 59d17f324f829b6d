/** THREAD and UID THREAD (RFC 5256). */
import type { Uid } from "../../mail/ids.ts";
import { type ThreadAlgorithm, threadText } from "../../mail/thread.ts";
import { type Call, type Command, define } from "../command.ts";
import { ok, type Reply } from "../formatter.ts";
import { type SearchArgs, searchContext, unknownCharset } from "../search-answer.ts";
import { searchProgramWithCharset } from "../search-program.ts";
import { runSearch } from "../search-run.ts";
import type { Selected } from "../state.ts";
import { threadMessages } from "../thread-messages.ts";
import { keyword, ParseError, space } from "../tokens.ts";

export const thread = defineThread("THREAD", false);
export const uidThread = defineThread("UID THREAD", true);

interface ThreadArgs extends SearchArgs {
  readonly algorithm: ThreadAlgorithm;
}

function defineThread(name: string, byUid: boolean): Command {
  return define({
    name,
    state: "selected",
    usesSequenceNumbers: !byUid,
    parse: (cursor): ThreadArgs => {
      space(cursor);
      const algorithm = keyword(cursor);
      if (!isAlgorithm(algorithm)) throw new ParseError("Unknown thread algorithm");
      space(cursor);
      return { algorithm, program: searchProgramWithCharset(cursor) };
    },
    run: (call) => answerThread(call, byUid),
  });
}

function isAlgorithm(name: string): name is ThreadAlgorithm {
  return name === "ORDEREDSUBJECT" || name === "REFERENCES" || name === "REFS";
}

async function answerThread(call: Call<Selected, ThreadArgs>, byUid: boolean): Promise<Reply> {
  const { state, args, output } = call;
  if (args.program.kind === "unknown-charset") return unknownCharset;
  const context = await searchContext(call, args.program.key);
  const found = await runSearch(context, args.program.key);
  const threads = await threadMessages(context, args.algorithm, found);
  const nameOf = (uid: Uid): number => (byUid ? uid : (state.view.sequenceOf(uid) ?? 0));
  // Dovecot has the space where there is nothing, too.
  output.write("* THREAD ");
  for (const piece of threadText(threads, nameOf)) {
    output.write(piece);
    await output.flushed();
  }
  output.write("\r\n");
  return ok("Thread completed.");
}
