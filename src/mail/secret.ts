import { inspect } from "node:util";

/**
 * A password in memory. However it is printed (string, JSON, inspect, a log line) it says `[secret]`;
 * only `reveal` gives the bytes away, and only where they go on the wire or into a hash.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  equals(other: Secret): boolean {
    return this.#value === other.#value;
  }

  toString(): string {
    return "[secret]";
  }

  toJSON(): string {
    return "[secret]";
  }

  [inspect.custom](): string {
    return "[secret]";
  }
}
