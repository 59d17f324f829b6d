/**
 * Content-Transfer-Encoding (RFC 2045 6) undone, piece by piece. Tolerant as mail readers are: what is
 * not of the encoding is passed by (base64) or stands as it is (quoted-printable).
 */
export interface TransferDecoder {
  write(bytes: Buffer): Buffer;
  end(): Buffer;
}

/** Undefined where the encoding is not known, so that the bytes cannot be read. */
export function createTransferDecoder(encoding: string | undefined): TransferDecoder | undefined {
  switch (encoding?.toLowerCase()) {
    case undefined:
    case "7bit":
    case "8bit":
    case "binary":
      return { write: (bytes) => bytes, end: () => nothing };
    case "base64":
      return createBase64Decoder();
    case "quoted-printable":
      return createQuotedPrintableDecoder();
    default:
      return undefined;
  }
}

const nothing = Buffer.alloc(0);

function createBase64Decoder(): TransferDecoder {
  let rest = "";
  return {
    write(bytes) {
      const text = rest + bytes.toString("latin1").replace(/[^A-Za-z0-9+/]+/g, "");
      const whole = text.length - (text.length % 4);
      rest = text.slice(whole);
      return Buffer.from(text.slice(0, whole), "base64");
    },
    end() {
      const last = Buffer.from(rest, "base64");
      rest = "";
      return last;
    },
  };
}

function createQuotedPrintableDecoder(): TransferDecoder {
  let rest = "";
  return {
    write(bytes) {
      const text = rest + bytes.toString("latin1");
      // An escape, or white space that may turn out to end its line, waits for the next piece.
      const held = /(?:=[0-9A-Fa-f]?|=?[ \t]+\r?|=\r|\r)$/.exec(text.slice(-maxHeldChars));
      const whole = text.length - (held?.[0].length ?? 0);
      rest = text.slice(whole);
      return decodeQuotedPrintable(text.slice(0, whole));
    },
    end() {
      const last = decodeQuotedPrintable(rest);
      rest = "";
      return last;
    },
  };
}

/** White space longer than this at a line's end is not taken for such. */
const maxHeldChars = 100;

/** In one pass: what a soft line break joins (`==\r\n41`) is not decoded again. */
function decodeQuotedPrintable(text: string): Buffer {
  const decoded = text.replace(
    /=[ \t]{0,100}\r?\n|[ \t]{1,100}(?=\r?\n)|=([0-9A-Fa-f]{2})/g,
    (_, hex: string | undefined) => (hex === undefined ? "" : String.fromCharCode(Number.parseInt(hex, 16))),
  );
  return Buffer.from(decoded, "latin1");
}
