/** What `problems` lists of an account, by itself. */
import { type Mailferry, runCli } from "./mailferry.ts";

export interface ListedProblem {
  readonly id: string;
  readonly kind: string;
  readonly mailbox: string;
  readonly words: string;
  readonly tries: number;
  readonly choices: readonly string[];
}

export async function listedProblems(
  { configFile }: Mailferry,
  user: string,
): Promise<readonly ListedProblem[]> {
  const { stdout } = await runCli(["problems", "-c", configFile, user, "--json"]);
  return (JSON.parse(stdout) as { problems: ListedProblem[] }).problems;
}
