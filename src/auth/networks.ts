/** Addresses and the networks they belong to (CIDR, RFC 4632 and RFC 4291 2.3). */
import { BlockList, isIP } from "node:net";

/** An IPv6 customer gets at least a /64, and may log in from any address of it. */
const ipv6BlockGroups = 4;

interface Network {
  readonly address: string;
  readonly prefix: number;
  readonly family: "ipv4" | "ipv6";
}

/** `10.0.0.0/8`, `2001:db8::/32`, or one address; undefined for what is none. */
function parseNetwork(text: string): Network | undefined {
  const [, address = "", bits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const version = isIP(address);
  if (version === 0) return undefined;
  const longest = version === 4 ? 32 : 128;
  const prefix = bits === undefined ? longest : Number(bits);
  return prefix > longest ? undefined : { address, prefix, family: version === 4 ? "ipv4" : "ipv6" };
}

export function isNetwork(text: string): boolean {
  return parseNetwork(text) !== undefined;
}

/** Whether an address is in one of `networks`; IPv4 mapped into IPv6 counts as IPv4. */
export function networkTest(networks: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const text of networks) {
    const network = parseNetwork(text);
    if (network) list.addSubnet(network.address, network.prefix, network.family);
  }
  return (address) => {
    const plain = plainAddress(address);
    const version = isIP(plain);
    return version !== 0 && list.check(plain, version === 4 ? "ipv4" : "ipv6");
  };
}

/** What stands for one client host: an IPv4 address, or the /64 of an IPv6 address. */
export function addressBlock(address: string): string {
  const plain = plainAddress(address);
  if (isIP(plain) !== 6) return plain;
  const [head = "", tail] = plain.split("::");
  const front = head === "" ? [] : head.split(":");
  const behind = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array.from({ length: Math.max(0, 8 - front.length - behind.length) }, () => "0");
  const groups = [...front, ...(tail === undefined ? [] : zeros), ...behind].slice(0, ipv6BlockGroups);
  return `${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(":")}::/64`;
}

/** Without the zone of a link-local address, IPv4 as itself. */
function plainAddress(address: string): string {
  const unzoned = address.replace(/%.*$/, "");
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(unzoned)?.[1] ?? unzoned;
}
