/**
 * Who may be connected, over all listeners and before anything is known of a client but its address: a
 * bounded number in all, and of one address.
 */
import { addressBlock } from "./networks.ts";
import { createPlaces } from "./places.ts";

export type Admission =
  | { readonly kind: "admitted"; readonly leave: () => void }
  | { readonly kind: "refused"; readonly reason: string };

/** Decides about a client that has just connected. */
export type Admit = (address: string) => Admission;

export interface AdmissionOptions {
  readonly maxConnections: number;
  /** Of an IPv4 address or an IPv6 /64. */
  readonly maxPerAddress: number;
  /** Addresses that many users come from: bounded by `maxConnections` alone. */
  readonly isTrusted: (address: string) => boolean;
}

export function createAdmission({ maxConnections, maxPerAddress, isTrusted }: AdmissionOptions): Admit {
  const all = createPlaces(maxConnections);
  const byAddress = createPlaces(maxPerAddress);
  return (address) => {
    const leaveAddress = isTrusted(address) ? () => {} : byAddress.take(addressBlock(address));
    if (!leaveAddress) return { kind: "refused", reason: "Too many connections from your address." };
    const leaveAll = all.take("");
    if (!leaveAll) {
      leaveAddress();
      return { kind: "refused", reason: "Too many connections, try again later." };
    }
    return {
      kind: "admitted",
      leave: () => {
        leaveAddress();
        leaveAll();
      },
    };
  };
}
