import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createTransferDecoder } from "../../src/mail/transfer-encoding.ts";

function decode(encoding: string | undefined, pieces: readonly string[]): string {
  const decoder = createTransferDecoder(encoding)!;
  const decoded = pieces.map((piece) => decoder.write(Buffer.from(piece, "latin1")));
  return Buffer.concat([...decoded, decoder.end()]).toString("latin1");
}

describe("transfer encodings", () => {
  test.each<[string, string, string]>([
    ["base64", "R3L8\r\n3 2U=", "Gr\xfc\xdfe"],
    ["Base64", "YQ", "a"],
    ["base64", "!!YQ==", "a"],
    ["quoted-printable", "Gr=FC=DFe, soft=\r\nbreak =3D =\n=\n", "Gr\xfc\xdfe, softbreak = "],
    ["quoted-printable", "trailing  \t\r\nnext =4 =zz =", "trailing\r\nnext =4 =zz ="],
    ["quoted-printable", "joined ==\r\n41, = \t\r\nsoft", "joined =41, soft"],
    ["quoted-printable", "lower=c3=bc", "lower\xc3\xbc"],
    ["8bit", "\xff\0", "\xff\0"],
  ])("%s of %j", (encoding, encoded, text) => {
    expect(decode(encoding, [encoded])).toBe(text);
    expect(decode(encoding, [...encoded])).toBe(text);
  });

  test("none is as it is, an unknown one is not read", () => {
    expect(decode(undefined, ["a", "b"])).toBe("ab");
    expect(createTransferDecoder("x-uuencode")).toBeUndefined();
  });

  test.each(["base64", "quoted-printable"])("%s does not depend on the pieces", (encoding) => {
    const text = fc.string({
      unit: fc.constantFrom("=", "A", "4", "\r", "\n", " ", "\t", "z"),
      maxLength: 60,
    });
    fc.assert(
      fc.property(text, fc.array(fc.nat(60)), (encoded, cuts) => {
        const bounds = [0, ...cuts.sort((a, b) => a - b), encoded.length];
        const pieces = bounds.slice(1).map((end, index) => encoded.slice(bounds[index], end));
        expect(decode(encoding, pieces)).toBe(decode(encoding, [encoded]));
      }),
      { numRuns: 2_000 },
    );
  });

  test("base64 of anything comes back", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (data) => {
        const encoded = Buffer.from(data).toString("base64").replace(/.{7}/g, "$&\r\n");
        expect(decode("base64", [encoded])).toBe(Buffer.from(data).toString("latin1"));
      }),
    );
  });
});
