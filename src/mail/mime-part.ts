/**
 * The tree of a message's MIME parts, by offsets into the message's bytes. Offsets nest: a part lies
 * within its parent's body, siblings ascend, and the line end before a boundary belongs to the boundary
 * (RFC 2046 5.1.1). Text of fields is raw, one char per byte.
 */
import type { MimeParam } from "./mime-params.ts";

export type MimePart = LeafPart | MultipartPart | MessagePart;

interface PartBase {
  /** Fields and the empty line behind them. */
  readonly header: Extent;
  readonly body: Extent;
  readonly content: ContentFields;
}

/** Also what may not be split further: too deep, too many, or a type nobody knows. */
export interface LeafPart extends PartBase {
  readonly kind: "leaf";
}

export interface MultipartPart extends PartBase {
  readonly kind: "multipart";
  /** Empty where no boundary was found. */
  readonly parts: readonly MimePart[];
}

/** message/rfc822: its body is a message with a header of its own. */
export interface MessagePart extends PartBase {
  readonly kind: "message";
  readonly message: MimePart;
  /** ENVELOPE of `message` in wire form. */
  readonly envelope: Buffer;
}

/** A run of bytes of the message: start..end-1. */
export interface Extent {
  readonly start: number;
  readonly end: number;
  /** Size in bytes with every bare LF counted as CRLF: what IMAP sizes say. */
  readonly virtualSizeBytes: number;
  /** Number of LFs. */
  readonly lineCount: number;
}

/** What the Content-* fields say; undefined where there is no such field. */
export interface ContentFields {
  readonly type: string | undefined;
  readonly subtype: string;
  readonly params: readonly MimeParam[];
  readonly encoding: string | undefined;
  readonly id: string | undefined;
  readonly description: string | undefined;
  readonly md5: string | undefined;
  readonly disposition: { readonly value: string; readonly params: readonly MimeParam[] } | undefined;
  readonly language: readonly string[];
  readonly location: string | undefined;
}
