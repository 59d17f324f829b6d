import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createFragmenter, type Fragment, type FragmentLimits } from "../../src/imap/fragments.ts";

const limits: FragmentLimits = {
  maxTextBytes: 100,
  maxLiteralBytes: 50,
  maxKeptBytes: 150,
  maxDroppedBytes: 1000,
};

/** All fragments of `input`, cut before each of `cuts`, in a form that can be compared. */
function fragmentsOf(input: string, cuts: readonly number[] = []): unknown[] {
  const fragmenter = createFragmenter();
  const found: unknown[] = [];
  const bytes = Buffer.from(input, "latin1");
  const edges = [0, ...[...cuts].sort((a, b) => a - b), bytes.length];
  for (let index = 1; index < edges.length; index++) {
    fragmenter.push(bytes.subarray(edges[index - 1], edges[index]));
    for (;;) {
      const fragment = fragmenter.next(limits);
      if (!fragment) break;
      found.push(readable(fragment));
      if (fragment.kind === "flood") return found;
    }
  }
  return found;
}

function readable(fragment: Fragment): unknown {
  if (fragment.kind !== "command") return fragment;
  return [
    ...fragment.command.texts,
    ...fragment.command.literals.map((literal) =>
      literal.kind === "kept" ? literal.bytes.toString("latin1") : { dropped: literal.sizeBytes },
    ),
  ];
}

const refusedLine = (head: string) => ({ kind: "refused", head, reason: "Command too long" });
const refusedLiteral = (head: string) => ({ kind: "refused", head, reason: "Literal too long" });

describe("fragments", () => {
  it("cuts lines at CRLF and at a bare LF", () => {
    expect(fragmentsOf("a NOOP\r\nb NOOP\nc")).toEqual([["a NOOP"], ["b NOOP"]]);
  });

  it("puts literals together with the lines around them", () => {
    expect(fragmentsOf("a LOGIN {5+}\r\nalice {3+}\r\n\r\nx\r\nb NOOP\r\n")).toEqual([
      ["a LOGIN {5+}", " {3+}", "", "alice", "\r\nx"],
      ["b NOOP"],
    ]);
    expect(fragmentsOf("a LOGIN {0+}\r\n {0+}\r\n\r\n")).toEqual([["a LOGIN {0+}", " {0+}", "", "", ""]]);
  });

  it("asks for the go-ahead of a synchronizing literal", () => {
    expect(fragmentsOf("a LOGIN {5}\r\nalice b\r\n")).toEqual([
      { kind: "continue" },
      ["a LOGIN {5}", " b", "alice"],
    ]);
  });

  it("ends a refused synchronizing literal at its announcement", () => {
    expect(fragmentsOf("a LOGIN {51}\r\nb NOOP\r\n")).toEqual([refusedLiteral("a LOGIN {51}"), ["b NOOP"]]);
  });

  it("drops a refused LITERAL+ and what follows it in the same command", () => {
    const hidden = `x LOGOUT\r\n${"y".repeat(50)}`;
    const input = `a LOGIN {${hidden.length}+}\r\n${hidden} {4+}\r\nz\r\n. rest\r\nb NOOP\r\n`;
    expect(fragmentsOf(input)).toEqual([refusedLiteral(`a LOGIN {${hidden.length}+}`), ["b NOOP"]]);
  });

  it("ends a refused command where its line ends right behind the literal", () => {
    const input = `a LOGIN {60+}\r\n${"y".repeat(60)}\r\nb NOOP\r\n`;
    expect(fragmentsOf(input)).toEqual([refusedLiteral("a LOGIN {60+}"), ["b NOOP"]]);
    expect(fragmentsOf(input.replace("\r\nb", "\nb"))).toEqual([refusedLiteral("a LOGIN {60+}"), ["b NOOP"]]);
  });

  it("passes over a long line, with the literals it announces", () => {
    const line = `a LOGIN ${"x".repeat(200)}`;
    expect(fragmentsOf(`${line}\r\nb NOOP\r\n`)).toEqual([refusedLine(line.slice(0, 100)), ["b NOOP"]]);
    expect(fragmentsOf(`${line} {10+}\r\nc LOGOUT\r\n\r\nb NOOP\r\n`)).toEqual([
      refusedLine(line.slice(0, 100)),
      ["b NOOP"],
    ]);
    expect(fragmentsOf(`${line} {10}\r\nb NOOP\r\n`)).toEqual([refusedLine(line.slice(0, 100)), ["b NOOP"]]);
  });

  it("counts lines and kept literals of one command together", () => {
    const literal = `{40+}\r\n${"x".repeat(40)}`;
    expect(fragmentsOf(`a SEARCH ${literal} ${literal} ${literal}\r\nb NOOP\r\n`)).toHaveLength(2);
    expect(fragmentsOf(`a SEARCH ${literal} ${literal} ${literal} ${literal}\r\nb NOOP\r\n`)).toEqual([
      refusedLine("a SEARCH {40+}"),
      ["b NOOP"],
    ]);
  });

  it("never keeps the message of an APPEND, and never asks for it", () => {
    expect(fragmentsOf("a APPEND INBOX (\\Seen) {300}\r\nb NOOP\r\n")).toEqual([
      ["a APPEND INBOX (\\Seen) {300}", "", { dropped: 300 }],
      ["b NOOP"],
    ]);
    const message = "b LOGOUT\r\n".repeat(30);
    expect(fragmentsOf(`a append {5+}\r\nINBOX {300+}\r\n${message}\r\nb NOOP\r\n`)).toEqual([
      ["a append {5+}", " {300+}", "", "INBOX", { dropped: 300 }],
      ["b NOOP"],
    ]);
  });

  it("gives up where too much would have to be dropped", () => {
    expect(fragmentsOf("a APPEND INBOX {1001+}\r\nb NOOP\r\n")).toEqual([{ kind: "flood" }]);
    expect(fragmentsOf("a X {99999999999999999999999+}\r\nb NOOP\r\n")).toEqual([{ kind: "flood" }]);
    expect(fragmentsOf("x".repeat(1200))).toEqual([{ kind: "flood" }]);
    expect(fragmentsOf("a X {99999999999999999999999}\r\nb NOOP\r\n")).toEqual([
      refusedLiteral("a X {99999999999999999999999}"),
      ["b NOOP"],
    ]);
  });

  it("reads a SASL line as it is", () => {
    const fragmenter = createFragmenter();
    fragmenter.push(Buffer.from("abc{3+}\r\nb NOOP\r\n"));
    expect(readable(fragmenter.nextLine(limits) as Fragment)).toEqual(["abc{3+}"]);
    expect(readable(fragmenter.next(limits) as Fragment)).toEqual(["b NOOP"]);
  });

  it("forgets everything when cleared", () => {
    const fragmenter = createFragmenter();
    fragmenter.push(Buffer.from("a LOGIN {10+}\r\nabc"));
    expect(fragmenter.next(limits)).toBeUndefined();
    fragmenter.clear();
    fragmenter.push(Buffer.from("b NOOP\r\n"));
    expect(readable(fragmenter.next(limits) as Fragment)).toEqual(["b NOOP"]);
  });

  it("gives the same fragments however the bytes are cut", () => {
    const piece = fc.oneof(
      fc.constantFrom(
        "a NOOP",
        "\r\n",
        "\n",
        "\r",
        " ",
        "{5}",
        "{5+}",
        "{60+}",
        "{0+}",
        "APPEND x ",
        '"',
        "b",
      ),
      fc.string({ maxLength: 12 }),
      fc.constant("y".repeat(90)),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), fc.array(fc.nat(1500)), (pieces, cuts) => {
        const input = `${pieces.join("")}\r\n`;
        const length = Buffer.from(input, "latin1").length;
        const whole = fragmentsOf(input);
        expect(
          fragmentsOf(
            input,
            cuts.filter((cut) => cut < length),
          ),
        ).toEqual(whole);
        expect(fragmentsOf(input, [...Array(length).keys()])).toEqual(whole);
      }),
      { numRuns: 300 },
    );
  });
});
