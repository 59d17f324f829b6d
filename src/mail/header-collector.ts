/**
 * Holds the bytes of one header block while a message arrives in chunks, and no others. Bounded as
 * Dovecot bounds it: what lies past the bound of one block or of all blocks together is not seen.
 */
const maxBlockBytes = 10 << 20;
const maxTotalBytes = 50 << 20;

export interface HeaderCollector {
  /** The chunk that is looked at from now on, until `leave`. */
  enter(chunk: Buffer): void;
  /** Copies what the open block has in the chunk. */
  leave(): void;
  /** A block begins at this offset of the message. */
  begin(offset: number): void;
  /** Its bytes, up to this offset; none where no block was begun before it. */
  end(offset: number): Buffer;
}

const noBytes: Buffer = Buffer.alloc(0);

export function createHeaderCollector(): HeaderCollector {
  let chunk: Buffer = noBytes;
  let chunkStart = 0;
  let held: Buffer[] = [];
  let heldBytes = 0;
  let blockStart: number | undefined;
  let totalBytes = 0;

  /** The block's bytes in the current chunk, up to an offset of the message. */
  function inChunk(start: number, end: number): Buffer {
    return chunk.subarray(Math.max(start - chunkStart, 0), Math.max(end - chunkStart, 0));
  }

  const boundBytes = (): number => Math.min(maxBlockBytes, maxTotalBytes - totalBytes);

  return {
    enter(next) {
      chunk = next;
    },
    leave() {
      const chunkEnd = chunkStart + chunk.length;
      if (blockStart !== undefined && heldBytes < boundBytes()) {
        const rest = inChunk(blockStart, chunkEnd).subarray(0, boundBytes() - heldBytes);
        held.push(Buffer.from(rest));
        heldBytes += rest.length;
      }
      chunkStart = chunkEnd;
      chunk = noBytes;
    },
    begin(offset) {
      blockStart = offset;
    },
    end(offset) {
      const start = blockStart ?? offset;
      const rest = inChunk(start, offset);
      const bytes = held.length > 0 ? Buffer.concat([...held, rest]) : rest;
      const block = bytes.subarray(0, Math.min(Math.max(offset - start, 0), boundBytes()));
      totalBytes += block.length;
      held = [];
      heldBytes = 0;
      blockStart = undefined;
      return block;
    },
  };
}
