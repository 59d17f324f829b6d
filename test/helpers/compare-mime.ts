/**
 * ENVELOPE, BODY, BODYSTRUCTURE and sections against a real Dovecot, byte for byte. What is computed here
 * comes from the bytes that Dovecot sends as BODY[], which are what a migration gets.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { formatBody, formatBodyStructure } from "../../src/mail/body-structure.ts";
import { formatEnvelope } from "../../src/mail/envelope.ts";
import { headerEnd, selectHeaderFields, selectPartFields } from "../../src/mail/header.ts";
import type { MimePart } from "../../src/mail/mime-part.ts";
import { scanMessage } from "../../src/mail/mime-scanner.ts";
import { locateSection, type Section, type SectionPart } from "../../src/mail/section.ts";
import { askDovecot, type DovecotMime } from "./dovecot-answers.ts";
import type { SampleMail } from "./odd-mail.ts";

/** Where we differ from Dovecot 2.3.19, and why that is right or does not matter. */
const differences: Readonly<Record<string, string>> = {
  "NUL bytes ENVELOPE":
    "Dovecot sends 0x80 for the NUL in BODY[], of which this is the subject, and U+FFFD here",
  "a line of 1 MB in the header ENVELOPE":
    "Dovecot reads a line in pieces of 8 KB and then keeps the space behind the colon, for a literal",
};

/** Defines the tests of one set of mail; called inside a `describe`. */
export function compareWithDovecot(mails: readonly SampleMail[]): void {
  let dovecot: DovecotMime;
  beforeAll(async () => {
    dovecot = await askDovecot(mails.map(({ bytes }) => bytes));
  });
  afterAll(() => dovecot.close());

  test("ENVELOPE, BODY and BODYSTRUCTURE are Dovecot's", () => {
    expect(dovecot.answers.length).toBe(mails.length);
    const found = mails.flatMap(({ name }, index) => {
      const answer = dovecot.answers[index]!;
      const tree = scanMessage(answer.bytes);
      return [
        { item: `${name} ENVELOPE`, ours: envelopeOf(answer.bytes), dovecots: answer.envelope },
        { item: `${name} BODY`, ours: latin1(formatBody(tree)), dovecots: answer.body },
        {
          item: `${name} BODYSTRUCTURE`,
          ours: latin1(formatBodyStructure(tree)),
          dovecots: answer.bodyStructure,
        },
      ].filter(({ item, ours, dovecots }) => ours !== dovecots && !(item in differences));
    });
    expect(found).toEqual([]);
  });

  test("sizes count a bare LF as Dovecot does", () => {
    const found = mails.filter(({ bytes }, index) => {
      const ours = latin1(formatBodyStructure(scanMessage(bytes)));
      return !bytes.includes(0) && ours !== dovecot.answers[index]!.bodyStructure;
    });
    expect(found.map(({ name }) => name)).toEqual([]);
  });

  test("sections are Dovecot's", async () => {
    const found: unknown[] = [];
    for (const [index, { name }] of mails.entries()) {
      const { bytes } = dovecot.answers[index]!;
      const tree = scanMessage(bytes);
      const sections = sectionsOf(tree);
      const theirs = await dovecot.sections(index, [...sections.keys()]);
      for (const [label, section] of sections) {
        const ours = latin1(sectionBytes(bytes, tree, section));
        const dovecots = latin1(theirs.get(label)!);
        if (ours !== dovecots)
          found.push({ name, label, ours, dovecots, whole: latin1(bytes).slice(0, 2000) });
      }
    }
    expect(found).toEqual([]);
  });
}

function envelopeOf(bytes: Buffer): string {
  return latin1(formatEnvelope(bytes.subarray(0, headerEnd(bytes))));
}

const sectionParts: readonly (readonly [string, SectionPart])[] = [
  ["", { kind: "whole" }],
  ["HEADER", { kind: "header" }],
  ["TEXT", { kind: "text" }],
  ["MIME", { kind: "mime" }],
  ["HEADER.FIELDS (SUBJECT FROM X)", { kind: "fields", names: ["subject", "FROM", "X"], not: false }],
  ["HEADER.FIELDS.NOT (SUBJECT TO)", { kind: "fields", names: ["Subject", "To"], not: true }],
];

/** All sections of up to 15 part numbers, among them some that are not there. */
function sectionsOf(tree: MimePart): Map<string, Section> {
  const sections = new Map<string, Section>();
  for (const path of [[], [1], [2], [1, 1], ...pathsIn(tree, [])].slice(0, 15)) {
    for (const [suffix, part] of sectionParts) {
      if (path.length === 0 && part.kind === "mime") continue;
      sections.set([...path, ...(suffix ? [suffix] : [])].join("."), { path, part });
    }
  }
  return sections;
}

function pathsIn(part: MimePart, path: readonly number[]): number[][] {
  if (part.kind === "leaf") return [[...path, 1]];
  if (part.kind === "message") return [[...path, 1], ...pathsIn(part.message, [...path, 1])];
  const children = part.parts.flatMap((child, index) => {
    const childPath = [...path, index + 1];
    return [
      childPath,
      ...(child.kind === "leaf" ? [] : pathsIn(child.kind === "message" ? child.message : child, childPath)),
    ];
  });
  return [...children, [...path, part.parts.length + 1]];
}

function sectionBytes(bytes: Buffer, tree: MimePart, section: Section): Buffer {
  const place = locateSection(tree, section);
  if (place.kind === "none") return Buffer.alloc(0);
  const range = bytes.subarray(place.start, place.end);
  if (place.kind === "range") return range;
  if (section.path.length > 0) return selectPartFields(bytes.subarray(place.start), place.names, place.not);
  return selectHeaderFields(range, place.names, place.not);
}

function latin1(bytes: Buffer): string {
  return bytes.toString("latin1");
}
