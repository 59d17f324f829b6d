/** What SEARCH, SORT and THREAD do alike: find, put in order, keep for `$`, answer. */
import type { ModSeq, Uid } from "../mail/ids.ts";
import { noModSeq } from "../mail/mod-seq.ts";
import type { SearchKey } from "../mail/search-key.ts";
import type { Output } from "../wire/output.ts";
import type { Call } from "./command.ts";
import { enableCondstore, modSeqOf } from "./condstore.ts";
import { no, ok, type Reply } from "./formatter.ts";
import type { SearchProgram } from "./search-program.ts";
import { chosen, type SearchReturn, writeExtended } from "./search-return.ts";
import { runSearch, type SearchContext } from "./search-run.ts";
import { asksModSeq } from "./search-sets.ts";
import type { Selected } from "./state.ts";

export interface SearchArgs {
  readonly returns?: SearchReturn | undefined;
  readonly program: SearchProgram;
}
export type SearchCall = Call<Selected, SearchArgs>;

export interface AnswerStyle {
  readonly name: "SEARCH" | "SORT";
  readonly byUid: boolean;
  /** Default: ascending. */
  readonly arrange?: (context: SearchContext, found: readonly Uid[]) => Promise<readonly Uid[]>;
}

export const unknownCharset: Reply = no("Unknown charset", "BADCHARSET (US-ASCII UTF-8)");

/** A result that was to be saved and could not be found is empty (RFC 5182 2.1). */
export async function answerSearch(call: SearchCall, style: AnswerStyle): Promise<Reply> {
  const { state, args } = call;
  try {
    return await answerProgram(call, style);
  } catch (error) {
    if (args.returns?.save) state.saved.uids = [];
    throw error;
  }
}

async function answerProgram(call: SearchCall, style: AnswerStyle): Promise<Reply> {
  const { state, args } = call;
  if (args.program.kind === "unknown-charset") {
    if (args.returns?.save) state.saved.uids = [];
    return unknownCharset;
  }
  await answerFound(call, args.program.key, style);
  return ok(`${style.name === "SORT" ? "Sort" : "Search"} completed.`);
}

async function answerFound(call: SearchCall, key: SearchKey, style: AnswerStyle): Promise<void> {
  const { state, args, output } = call;
  const context = await searchContext(call, key);
  const found = await runSearch(context, key);
  const ordered = style.arrange ? await style.arrange(context, found) : found;
  const { returns } = args;
  const given = returns ? chosen(ordered, returns) : ordered;
  if (returns?.save) state.saved.uids = [...given].sort((a, b) => a - b);
  const highest = asksModSeq(key) && given.length > 0 ? highestOf(state, given) : undefined;
  const numbers = style.byUid ? ordered : ordered.map((uid) => state.view.sequenceOf(uid) ?? 0);
  if (returns)
    writeExtended({ tag: call.tag, byUid: style.byUid, numbers, modSeq: highest }, returns, output);
  else await writeNumbers(style.name, numbers, highest, output);
}

/** A search for MODSEQ switches CONDSTORE on (RFC 7162 3.1). */
export async function searchContext(
  { session, state, output, signal }: SearchCall,
  key: SearchKey,
): Promise<SearchContext> {
  if (asksModSeq(key)) await enableCondstore(session, output, signal);
  return { state, signal, breathe: output.flushed };
}

function highestOf(state: Selected, uids: readonly Uid[]): ModSeq {
  let highest: ModSeq = noModSeq;
  for (const uid of uids) {
    const value = modSeqOf(state, uid);
    if (value > highest) highest = value;
  }
  return highest;
}

const numbersAtOnce = 10_000;

async function writeNumbers(
  name: string,
  numbers: readonly number[],
  highest: ModSeq | undefined,
  output: Output,
): Promise<void> {
  output.write(`* ${name}`);
  for (let first = 0; first < numbers.length; first += numbersAtOnce) {
    output.write(` ${numbers.slice(first, first + numbersAtOnce).join(" ")}`);
    await output.flushed();
  }
  output.write(highest === undefined ? "\r\n" : ` (MODSEQ ${highest})\r\n`);
}
