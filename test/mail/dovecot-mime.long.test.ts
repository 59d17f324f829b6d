/** The same comparison with Dovecot on much more noise; the seed is in the title. */
import { describe } from "vitest";
import { compareWithDovecot } from "../helpers/compare-mime.ts";
import { fieldMails } from "../helpers/field-noise.ts";
import { noisyMails } from "../helpers/mime-noise.ts";

const first = Date.now() % 1_000_000;

for (let seed = first; seed < first + 10; seed++) {
  describe(`fields of seed ${seed}`, () => compareWithDovecot(fieldMails(seed, 1_500)));
  describe(`noise of seed ${seed}`, () => compareWithDovecot(noisyMails(seed, 1_500)));
}
