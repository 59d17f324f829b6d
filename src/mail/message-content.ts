import type { MessageContent } from "./message.ts";

/** Bytes that are here. */
export function contentOf(bytes: Buffer): MessageContent {
  return {
    sizeBytes: bytes.length,
    read: (start, end) => bytes.subarray(start, end),
    close() {},
  };
}
