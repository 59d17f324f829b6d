/**
 * Header fields in which a server keeps its own notes of a message, so that they change under the same UID: mbox
 * files have no other place for flags and UIDs, and some servers write a UIDL down when they are asked for it.
 */
export const serverFields = ["Status", "X-Status", "X-UID", "X-UIDL", "X-IMAPbase", "X-Keywords"] as const;

const lf = 0x0a;
/** What is longer is no line of such a field. */
const maxLineBytes = 4_096;
const named = new RegExp(`^(?:${serverFields.join("|")})[ \\t]*:`, "i");

/** Passes a message on byte for byte, but for those fields. */
export function createServerFieldFilter(pass: (bytes: Buffer) => void): {
  write(bytes: Buffer): void;
  end(): void;
} {
  let place: "header" | "long-line" | "body" = "header";
  let isDropping = false;
  /** The beginning of a line whose end has not come. */
  let rest: Buffer = Buffer.alloc(0);

  const takeLine = (line: Buffer): void => {
    const text = line.toString("latin1", 0, 40);
    if (/^\r?\n$/.test(text)) place = "body";
    if (!/^[ \t]/.test(text) || place === "body") isDropping = place === "header" && named.test(text);
    if (!isDropping) pass(line);
  };
  const takeHeader = (bytes: Buffer): Buffer => {
    let from = 0;
    while (place !== "body") {
      const end = bytes.indexOf(lf, from) + 1;
      if (end === 0) break;
      if (place === "long-line") pass(bytes.subarray(from, end));
      else takeLine(bytes.subarray(from, end));
      if (place === "long-line") place = "header";
      from = end;
    }
    return bytes.subarray(from);
  };
  return {
    write(bytes) {
      const left = place === "body" ? bytes : takeHeader(Buffer.concat([rest, bytes]));
      rest = Buffer.alloc(0);
      if (place === "body" || place === "long-line") pass(left);
      else if (left.length <= maxLineBytes) rest = left;
      else {
        isDropping = false;
        place = "long-line";
        pass(left);
      }
    },
    end() {
      if (rest.length > 0) takeLine(rest);
    },
  };
}
