/**
 * How long this process reads from old servers before it serves anybody else: one that is near is read for megabytes
 * at a time otherwise, and twenty of them one behind the other. It is the event loop's, and therefore one for all.
 */
const turnMs = 5;
/** And where a pause costs the old server something. */
const longTurnMs = 15;

let spentMs = 0;
let isCounting = false;

/**
 * Notes the time that a piece has taken; true where others are to have their turn before the next. `isLittle`: it is
 * hoped that no more than a few pieces are to come.
 */
export function noteReading(ms: number, isLittle: boolean): boolean {
  spentMs += ms;
  if (!isCounting) {
    isCounting = true;
    setImmediate(() => {
      spentMs = 0;
      isCounting = false;
    });
  }
  return spentMs >= (isLittle ? longTurnMs : turnMs);
}
