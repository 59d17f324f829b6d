/**
 * The mail of the demo's account: what a small sailing club has gathered over two years. Always the same but
 * for its dates, which end today.
 */

import type { EncodedMailboxName } from "../mail/ids.ts";
import { encodeMailboxName } from "../mail/mailbox-name.ts";

export interface DemoMailbox {
  readonly name: EncodedMailboxName;
  /** The oldest first. */
  readonly messages: readonly DemoMessage[];
}

export interface DemoMessage {
  readonly bytes: Buffer;
  readonly flags: readonly string[];
  readonly date: Date;
}

export function demoMailboxes(now: Date): DemoMailbox[] {
  return plans.map(({ path, count, kind }, index) => ({
    name: path.map(encodeMailboxName).join(".") as EncodedMailboxName,
    messages: Array.from({ length: count }, (_, at) =>
      message({ now, kind, count, at, seed: index * 1000 + at }),
    ),
  }));
}

type Kind = "received" | "sent" | "draft" | "list";

const plans: readonly { readonly path: readonly string[]; readonly count: number; readonly kind: Kind }[] = [
  { path: ["INBOX"], count: 164, kind: "received" },
  { path: ["Sent"], count: 92, kind: "sent" },
  { path: ["Drafts"], count: 5, kind: "draft" },
  { path: ["Archive", "2024"], count: 71, kind: "received" },
  { path: ["Archive", "2025"], count: 63, kind: "received" },
  { path: ["Lists", "Boatbuilding"], count: 48, kind: "list" },
  { path: ["Réunions"], count: 21, kind: "received" },
  { path: ["Trash"], count: 9, kind: "received" },
];

const me = "Alice Ferryman <alice@example.org>";
const people = [
  "Björn Ångström <bjorn@example.net>",
  "Chidi Okafor <chidi@example.com>",
  "Dolores Marín <dolores@example.es>",
  "Ewa Żak <ewa@example.pl>",
  "Harbour Office <office@harbour.example>",
  "Jun Tanaka <jun@example.jp>",
] as const;
const subjects = [
  "Minutes of Thursday's meeting",
  "New sails: three offers",
  "Re: berth 14 in winter",
  "Résultats de la régate",
  "Tide tables for the week",
  "Who takes the night watch?",
  "Invoice for paint and varnish",
  "Fotos från båten",
  "Insurance, once more",
  "Weather window on Saturday",
] as const;
const sentences = [
  "The wind should turn to the north-west by noon.",
  "Please bring the key to the boathouse back.",
  "I have put the receipts into the drawer.",
  "The pump runs again, but it is loud.",
  "Bon vent à toutes et à tous!",
  "Can you read the chart to me once more?",
  "We meet at seven, as always, on the pier.",
  "The harbour master asks for the papers.",
] as const;

interface Place {
  readonly now: Date;
  readonly kind: Kind;
  readonly count: number;
  readonly at: number;
  readonly seed: number;
}

const twoYearsMs = 2 * 365 * 24 * 3600 * 1000;

function message(place: Place): DemoMessage {
  const { now, kind, count, at, seed } = place;
  const date = new Date(now.getTime() - Math.floor(((count - at) / (count + 1)) * twoYearsMs));
  const header = [
    ...addresses(place),
    `Date: ${date.toUTCString().replace("GMT", "+0000")}`,
    `Subject: ${encoded(pick(subjects, seed))}`,
  ];
  const id = `Message-ID: <demo.${seed}@example.org>`;
  const text = [...header, id, "MIME-Version: 1.0", ...body(seed)].join("\r\n");
  return { bytes: Buffer.from(`${text}\r\n`), flags: flagsOf(kind, count - at, seed), date };
}

function addresses({ kind, seed }: Place): string[] {
  const other = pick(people, seed);
  switch (kind) {
    case "received":
      return [`From: ${encoded(other)}`, `To: ${me}`];
    case "list":
      return [
        `From: ${encoded(other)}`,
        "To: boatbuilding@lists.example",
        "List-Id: <boatbuilding.lists.example>",
      ];
    case "sent":
    case "draft":
      return [`From: ${me}`, `To: ${encoded(other)}`];
  }
}

/** Plain text, most of it; some with HTML beside it, some with a file. */
function body(seed: number): string[] {
  const text = Array.from({ length: 2 + (seed % 9) }, (_, line) => pick(sentences, seed * 7 + line * 3));
  const plain = ["Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit", "", ...text];
  const boundary = `part-${seed}`;
  if (seed % 5 === 3) {
    const html = `<p>${text.join("<br>")}</p>`;
    return multipart("alternative", boundary, [plain, ["Content-Type: text/html; charset=utf-8", "", html]]);
  }
  if (seed % 11 === 7) {
    const chart = Buffer.from(`${text.join("\n")}\n`.repeat(40 + (seed % 400))).toString("base64");
    const file = [
      'Content-Type: application/octet-stream; name="chart.dat"',
      'Content-Disposition: attachment; filename="chart.dat"',
      "Content-Transfer-Encoding: base64",
      "",
      ...(chart.match(/.{1,76}/g) ?? []),
    ];
    return multipart("mixed", boundary, [plain, file]);
  }
  return plain;
}

function multipart(kind: string, boundary: string, parts: readonly (readonly string[])[]): string[] {
  const lines = parts.flatMap((part) => [`--${boundary}`, ...part]);
  return [`Content-Type: multipart/${kind}; boundary="${boundary}"`, "", ...lines, `--${boundary}--`];
}

/** `age`: how many are newer. The newest few are unread. */
function flagsOf(kind: Kind, age: number, seed: number): string[] {
  const flags: string[] = [];
  if (kind === "draft") flags.push("\\Draft");
  if (kind !== "received" || age > 11) flags.push("\\Seen");
  if (seed % 13 === 5) flags.push("\\Flagged");
  if (kind === "received" && seed % 6 === 1) flags.push("\\Answered");
  if (seed % 17 === 9) flags.push("$Important");
  return flags;
}

function pick<T>(list: readonly [T, ...T[]], seed: number): T {
  return list[seed % list.length] ?? list[0];
}

/** RFC 2047, where there is more than ASCII; an address stays outside of the encoded word. */
function encoded(text: string): string {
  const [, name = text, rest = ""] = /^(.*?)( <[^>]*>)?$/.exec(text) ?? [];
  return /^[\x20-\x7e]*$/.test(name) ? text : `=?utf-8?B?${Buffer.from(name).toString("base64")}?=${rest}`;
}
