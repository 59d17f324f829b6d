/**
 * ENVELOPE, BODY, BODYSTRUCTURE and sections against a real Dovecot, byte for byte: mail that broke
 * software before, random noise, and the odd mail beside the project where that is there.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe } from "vitest";
import { compareWithDovecot } from "../helpers/compare-mime.ts";
import { fieldMails } from "../helpers/field-noise.ts";
import { hostileMails } from "../helpers/hostile-mail.ts";
import { noisyMails } from "../helpers/mime-noise.ts";
import { oddMails, type SampleMail } from "../helpers/odd-mail.ts";

const corpus = join(import.meta.dirname, "../../../shared/corpus");

describe("mail that broke software before", () => compareWithDovecot(oddMails(7)));
describe("mail that is made to break software", () => compareWithDovecot(hostileMails()));
describe("fields that are nearly right", () => compareWithDovecot(fieldMails(20261125, 800)));
describe("noise", () => compareWithDovecot(noisyMails(20260301, 600)));
if (existsSync(corpus)) describe("odd mail of other projects", () => compareWithDovecot(mailIn(corpus)));

function mailIn(folder: string): SampleMail[] {
  const names = readdirSync(folder).filter((name) => name.endsWith(".eml"));
  return names.map((name) => ({ name, bytes: readFileSync(join(folder, name)) }));
}
