/**
 * What one part tree may hold of its message's header fields, so that no message, however it is made, costs
 * more than some ten megabytes and a moment. Far above honest mail: what is beyond is not seen, as if the
 * header had ended before.
 */
export interface TreeBudget {
  /** Of the values of Content-* fields. */
  fieldBytes: number;
  /** Parameters and languages. */
  items: number;
  /** Of the envelopes of messages within the message, which a header multiplies: From is Sender and Reply-To, too. */
  envelopeBytes: number;
}

export function createTreeBudget(): TreeBudget {
  return { fieldBytes: 8 << 20, items: 100_000, envelopeBytes: 16 << 20 };
}
