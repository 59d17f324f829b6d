/**
 * Messages of an old POP3 server of which other bytes came than LIST tells of. Each is asked for again by itself, on a
 * fresh connection, and the server is asked another question behind it: with the same bytes again, and nothing between
 * them and that question's answer, it is the size that is wrong.
 */
import type { Pop3Session } from "../legacy/pop3-client.ts";
import type { ListedMessage } from "./maildrop-listing.ts";
import type { MaildropSizes } from "./maildrop-sizes.ts";
import type { Pop3Answer } from "./pop3-print.ts";

export type Judgement =
  | { readonly kind: "whole"; readonly isInStep: boolean }
  /** To be asked for alone, on a fresh connection. */
  | { readonly kind: "doubted" }
  | { readonly kind: "contradictory"; readonly problem: string; readonly isInStep: boolean };

export interface Pop3Doubts {
  /** It is to be asked for first, on a fresh connection. */
  isDoubted(message: ListedMessage): boolean;
  doubt(message: ListedMessage, answer: Pop3Answer): void;
  forget(message: ListedMessage): void;
  /** Of one that was asked for with nothing sent behind it. */
  judgeAlone(request: JudgeRequest): Promise<Judgement>;
}

export interface JudgeRequest {
  readonly session: Pop3Session;
  readonly message: ListedMessage;
  readonly answer: Pop3Answer;
  /** All are listed with one size: that tells nothing. */
  readonly isOneSize: boolean;
}

export function createPop3Doubts(sizes: MaildropSizes): Pop3Doubts {
  /** By UIDL, the digest of what came. */
  const digests = new Map<string, string>();
  const doubt = ({ entry }: ListedMessage, { digest }: Pop3Answer): void =>
    void digests.set(entry.uidl, digest);
  const forget = ({ entry }: ListedMessage): void => void digests.delete(entry.uidl);
  return {
    isDoubted: ({ entry }) => digests.has(entry.uidl),
    doubt,
    forget,
    async judgeAlone({ session, message, answer, isOneSize }) {
      const told = message.entry.sizeBytes;
      const before = digests.get(message.entry.uidl);
      const isInStep = await session.isInStep(message.number);
      if (answer.agreesWith(told) && (isInStep || !sizes.areWorthless)) {
        forget(message);
        return { kind: "whole", isInStep };
      }
      const isSame = before === undefined ? sizes.areWorthless : before === answer.digest;
      if (isInStep && isSame && answer.isProvable(isOneSize ? 0 : told, sizes.areWorthless)) {
        sizes.noteWrong();
        forget(message);
        return { kind: "whole", isInStep };
      }
      doubt(message, answer);
      if (before === undefined) return { kind: "doubted" };
      return { kind: "contradictory", problem: problemOf(answer, told, isInStep), isInStep };
    },
  };
}

function problemOf({ sizeBytes }: Pop3Answer, told: number, isInStep: boolean): string {
  const came = `the old server lists it with ${told} bytes and gives ${sizeBytes}`;
  return isInStep ? came : `${came}, with something else behind their end`;
}

export function haveOneSize(messages: readonly ListedMessage[]): boolean {
  const [first] = messages;
  return messages.length >= 3 && messages.every(({ entry }) => entry.sizeBytes === first?.entry.sizeBytes);
}
