/** Stands between Mailferry and a legacy server, and does what bad networks and old servers do. */
import type { Socket } from "node:net";
import type { Random } from "./random.ts";
import { connectBehind, serveTcp } from "./tcp-server.ts";

export type Fault =
  /** Every packet from the server comes so much later. */
  | { readonly kind: "delay"; readonly ms: number }
  /** What the server sends comes so slowly. */
  | { readonly kind: "throttle"; readonly bytesPerSecond: number }
  /** Connections end after a random number of bytes of either side. */
  | { readonly kind: "cut"; readonly maxBytes: number }
  /** The same, by a reset. */
  | { readonly kind: "reset"; readonly maxBytes: number }
  /** A connection goes silent after a random number of bytes, and stays open. */
  | { readonly kind: "stall"; readonly maxBytes: number }
  /** One command in so many is answered by the proxy. */
  | { readonly kind: "answer"; readonly with: "NO" | "BAD" | "BYE"; readonly oneIn: number }
  /** Who goes into IDLE is disconnected. */
  | { readonly kind: "drop-idle" }
  /** So many connections at once, and no more. */
  | { readonly kind: "refuse"; readonly maxConnections: number };

export interface ChaosProxy {
  readonly port: number;
  /** From now on; connections that are open suffer, too. */
  faults: readonly Fault[];
  /** How often something was done to a connection. */
  readonly harm: number;
  readonly connections: number;
  close(): Promise<void>;
}

export async function startChaosProxy(targetPort: number, random: Random): Promise<ChaosProxy> {
  let faults: readonly Fault[] = [];
  let harm = 0;
  let connections = 0;

  const faultOf = <Kind extends Fault["kind"]>(kind: Kind): Extract<Fault, { kind: Kind }> | undefined =>
    faults.find((fault): fault is Extract<Fault, { kind: Kind }> => fault.kind === kind);

  const serve = (client: Socket): void => {
    const most = faultOf("refuse")?.maxConnections ?? Number.POSITIVE_INFINITY;
    if (connections >= most) {
      harm++;
      client.end("* BYE Too many connections\r\n");
      return;
    }
    connections++;
    client.once("close", () => connections--);
    const target = connectBehind(client, targetPort);
    let isSilent = false;
    /** Where this connection ends or goes silent; chosen when the first such fault meets it. */
    let fate: { readonly kind: "cut" | "reset" | "stall"; bytesLeft: number } | undefined;
    /** What of `chunk` passes. */
    const spare = (chunk: Buffer): Buffer => {
      const endings = faults.filter(
        (one) => one.kind === "cut" || one.kind === "reset" || one.kind === "stall",
      );
      const fault = endings.length > 0 ? random.pick(endings) : undefined;
      if (!fault) fate = undefined;
      else fate ??= { kind: fault.kind, bytesLeft: 1 + random.below(fault.maxBytes) };
      if (!fate || chunk.length < fate.bytesLeft) {
        if (fate) fate.bytesLeft -= chunk.length;
        return chunk;
      }
      harm++;
      const passed = chunk.subarray(0, fate.bytesLeft);
      if (fate.kind === "stall") isSilent = true;
      else if (fate.kind === "reset") {
        client.resetAndDestroy();
        target.resetAndDestroy();
      } else {
        target.write(passed);
        client.destroy();
        target.destroy();
      }
      fate = undefined;
      return passed;
    };
    client.on("data", (chunk: Buffer) => {
      if (isSilent || answered(chunk, client)) return;
      const passed = spare(chunk);
      if (!target.destroyed) target.write(passed);
    });
    let last: Promise<unknown> = Promise.resolve();
    target.on("data", (chunk: Buffer) => {
      if (isSilent) return;
      const delayMs = faultOf("delay")?.ms ?? 0;
      const slow = faultOf("throttle");
      const waitMs = delayMs + (slow ? (chunk.length / slow.bytesPerSecond) * 1000 : 0);
      if (slow) target.pause();
      last = last
        .then(() => (waitMs > 0 ? new Promise((resolve) => setTimeout(resolve, waitMs)) : undefined))
        .then(() => {
          if (client.destroyed || isSilent) return;
          const passed = spare(chunk);
          if (!client.destroyed) client.write(passed);
          target.resume();
        });
    });
  };
  /** A whole command that the proxy answers in the server's place. */
  const answered = (chunk: Buffer, client: Socket): boolean => {
    const line = chunk.toString("latin1");
    const match = /^(\S+) ([^\r\n]*[^\r\n}])\r\n$/.exec(line);
    if (!match?.[1]) return false;
    if (faultOf("drop-idle") && match[2] === "IDLE") {
      harm++;
      client.destroy();
      return true;
    }
    const fault = random.pick(faults.filter((one) => one.kind === "answer"));
    // A login that is refused is not a fault but a wrong password.
    if (!fault || /^(LOGIN|AUTHENTICATE|ID|CAPABILITY|NAMESPACE)/i.test(match[2] ?? "")) return false;
    if (random.below(fault.oneIn) > 0) return false;
    harm++;
    if (fault.with === "BYE") client.end("* BYE Server going down\r\n");
    else client.write(`${match[1]} ${fault.with} Trouble\r\n`);
    return true;
  };

  const { port, close } = await serveTcp(serve);
  return {
    port,
    get faults() {
      return faults;
    },
    set faults(next) {
      faults = next;
    },
    get harm() {
      return harm;
    },
    get connections() {
      return connections;
    },
    close,
  };
}
