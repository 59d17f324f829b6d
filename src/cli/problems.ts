import { type Command, Option } from "commander";
import { ConfigError } from "../errors.ts";
import type { EncodedMailboxName } from "../mail/ids.ts";
import { decodeMailboxName } from "../mail/mailbox-name.ts";
import { type HindranceKind, hindranceKinds } from "../migration/hindrance.ts";
import type { Decision } from "../migration/settle-hindrances.ts";
import {
  type CommonOptions,
  jsonOption,
  mailferryCommand,
  passwordOption,
  perform,
  printJson,
  printLine,
} from "./command.ts";
import { decisionLine } from "./decision-line.ts";
import type { Problem, ProblemsResult } from "./operations.ts";
import { operatorName } from "./operator.ts";

interface ProblemsOptions extends CommonOptions {
  readonly accept?: readonly string[];
  readonly acceptKind?: HindranceKind;
  readonly refuse?: readonly string[];
  /** True: all of them. */
  readonly retry?: readonly string[] | true;
}

export function problemsCommand(): Command {
  return mailferryCommand("problems", "show what stands between an account and complete, and decide on it")
    .argument("<user>", "as the user logs in")
    .addOption(new Option("--accept <id...>", "do without these, as they are now").conflicts("refuse"))
    .addOption(
      new Option("--accept-kind <kind>", "the same for all of a kind that there are now")
        .choices(hindranceKinds)
        .conflicts("refuse"),
    )
    .addOption(
      new Option("--refuse <id...>", "do not believe the old server: the messages are put into Rescued"),
    )
    .addOption(
      new Option("--retry [id...]", "ask the old server again; for all without an id").conflicts([
        "accept",
        "acceptKind",
        "refuse",
      ]),
    )
    .addOption(passwordOption())
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `
Each problem has an id that stays the same, and the choices that its kind has:
  message    the old server does not give it: retry, accept
  deletions  the old server has suddenly lost many messages: accept, refuse
  mailbox    its migration has stopped: accept, refuse (where messages are set aside)
  shut       the old server does not open the mailbox: retry, accept
  missing    the old server does not list the mailbox any more: accept, refuse (where most of the account would go)
  listing    the old server does not list all of its messages: retry
  unkept     the old server tells no UIDVALIDITY: retry, accept
  maildrop   a POP3 message that is not found among those of IMAP, or not whole: retry, accept
What is accepted as lost is absent here after the cutover; a rollback leaves it at the old server.
Accepting covers what is there now, and nothing that comes later. Who has accepted, and when, is kept.
A message that was accepted and comes all the same before the cutover is kept.

Examples:
  mailferry problems -c /etc/mailferry.yaml alice@example.com
  mailferry problems -c /etc/mailferry.yaml alice@example.com --accept 3f2a91c07b 88d1e0a4f2
  mailferry problems -c /etc/mailferry.yaml alice@example.com --accept-kind message
  mailferry problems -c /etc/mailferry.yaml alice@example.com --retry --password-file alice.pw`,
    )
    .action(run);
}

async function run(user: string, options: ProblemsOptions): Promise<void> {
  const decision = decisionOf(options);
  const operation = decision ? "settle-problems" : "problems";
  const result = (await perform(options, operation, user, () => undefined, decision)) as ProblemsResult;
  if (options.json) return printJson(result);
  for (const one of result.settled ?? []) printLine(`${pastOf(decision)}: ${lineOf(one)}`);
  for (const one of result.problems) printLine(`${lineOf(one)} [${one.choices.join(", ")}]`);
  if (result.problems.length === 0) printLine("nothing stands in the way");
  for (const word of result.decisions) printLine(decisionLine(word));
}

function decisionOf({ accept, acceptKind, refuse, retry }: ProblemsOptions): Decision | undefined {
  const by = operatorName();
  if (accept || acceptKind) return { choice: "accept", ids: accept, kind: acceptKind, by };
  if (refuse) return { choice: "refuse", ids: refuse, by };
  if (retry) return { choice: "retry", ids: retry === true ? undefined : retry, by };
  return undefined;
}

function pastOf(decision: Pick<Decision, "choice"> | undefined): string {
  switch (decision?.choice) {
    case "accept":
      return "accepted";
    case "refuse":
      return "refused";
    case "retry":
      return "tried again";
    default:
      throw new ConfigError("no decision");
  }
}

function lineOf({ id, kind, mailbox, tries, words }: Problem): string {
  const tried = tries === null ? "" : ` (tried ${tries} times)`;
  return `${id} ${kind} ${placeOf(mailbox)}${words}${tried}`;
}

function placeOf(mailbox: string | null | undefined): string {
  return mailbox ? `${decodeMailboxName(mailbox as EncodedMailboxName)}: ` : "";
}
