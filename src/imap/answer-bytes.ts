/**
 * Many short answers, put together as bytes: as strings they would be joined piece by piece, flattened, copied and
 * collected, which takes longer than all else that FETCH FLAGS does here.
 */
export interface AnswerBytes {
  bytes: Buffer;
  /** How many of them are written. */
  length: number;
}

const startBytes = 24 << 10;

export function createAnswerBytes(): AnswerBytes {
  return { bytes: Buffer.allocUnsafe(startBytes), length: 0 };
}

/** What was written; nothing may be added any more. */
export function takeBytes({ bytes, length }: AnswerBytes): Buffer {
  return bytes.subarray(0, length);
}

export function putBytes(answers: AnswerBytes, added: Uint8Array): void {
  makeRoom(answers, added.length);
  const { bytes, length } = answers;
  for (let index = 0; index < added.length; index++) bytes[length + index] = added[index] as number;
  answers.length = length + added.length;
}

/** One char per byte. */
export function putText(answers: AnswerBytes, latin1: string): void {
  makeRoom(answers, latin1.length);
  answers.length += answers.bytes.write(latin1, answers.length, "latin1");
}

/** In decimal; `value` is a number of 32 bits. */
export function putNumber(answers: AnswerBytes, value: number): void {
  makeRoom(answers, maxDigits);
  const { bytes } = answers;
  const end = answers.length + digitsOf(value);
  answers.length = end;
  let rest = value;
  for (let at = end - 1; ; at--) {
    const tens = (rest / 10) >>> 0;
    bytes[at] = zero + rest - 10 * tens;
    if (tens === 0) return;
    rest = tens;
  }
}

function digitsOf(value: number): number {
  let digits = 1;
  for (let above = 10; above <= value; above *= 10) digits++;
  return digits;
}

function makeRoom(answers: AnswerBytes, more: number): void {
  const { bytes, length } = answers;
  if (length + more <= bytes.length) return;
  answers.bytes = Buffer.allocUnsafe(Math.max(length + more, 2 * bytes.length));
  bytes.copy(answers.bytes, 0, 0, length);
}

const zero = 0x30;
const maxDigits = 10;
