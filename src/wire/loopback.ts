/** 127.0.0.0/8, ::1 and IPv4 addresses mapped into IPv6. */
export function isLoopback(address: string): boolean {
  return /^(::ffff:)?127\.\d+\.\d+\.\d+$/i.test(address) || address === "::1";
}
