import { describe, expect, it } from "vitest";
import { addressBlock, isNetwork, networkTest } from "../../src/auth/networks.ts";

describe("networks", () => {
  it("holds the addresses in them, in either family", () => {
    const isIn = networkTest(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1"]);
    const inside = ["10.1.2.3", "192.0.2.7", "::ffff:10.1.2.3", "2001:db8:5::1", "::1"];
    const outside = ["11.0.0.1", "192.0.2.8", "2001:db9::1", "::2", "", "nowhere"];
    expect(inside.filter(isIn)).toEqual(inside);
    expect(outside.filter(isIn)).toEqual([]);
  });

  it("are told from what is none", () => {
    for (const text of ["10.0.0.0/8", "10.0.0.1", "::/0", "fd00::/8", "::1"])
      expect(isNetwork(text)).toBe(true);
    for (const text of ["", "10.0.0.0/33", "::/129", "10.0.0/8", "a/8", "10.0.0.0/", "10.0.0.0/8/8"])
      expect(isNetwork(text), text).toBe(false);
  });
});

describe("address blocks", () => {
  it.each([
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:DB8:1:2::9", "2001:db8:1:2::/64"],
    ["2001:db8::9", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["", ""],
  ])("%s is of %s", (address, block) => {
    expect(addressBlock(address)).toBe(block);
  });
});
