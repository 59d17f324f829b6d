import { expect, it } from "vitest";
import { type Admission, createAdmission } from "../../src/auth/admission.ts";

const admit = () =>
  createAdmission({ maxConnections: 4, maxPerAddress: 2, isTrusted: (address) => address === "10.0.0.1" });

const leave = (admission: Admission): void => {
  if (admission.kind === "admitted") admission.leave();
};

it("bounds the connections of an address, but not of a trusted one", () => {
  const enter = admit();
  const first = enter("192.0.2.1");
  enter("::ffff:192.0.2.1");
  expect(enter("192.0.2.1")).toMatchObject({ reason: "Too many connections from your address." });
  expect(enter("10.0.0.1").kind).toBe("admitted");
  leave(first);
  leave(first);
  expect(enter("192.0.2.1").kind).toBe("admitted");
  expect(enter("192.0.2.1").kind).toBe("refused");
});

it("bounds all connections, and holds nothing for one that was refused", () => {
  const enter = admit();
  const admitted = Array.from({ length: 4 }, () => enter("10.0.0.1"));
  for (let count = 0; count < 5; count++)
    expect(enter("192.0.2.1")).toMatchObject({ reason: "Too many connections, try again later." });
  admitted.forEach(leave);
  expect([enter("192.0.2.1").kind, enter("192.0.2.1").kind]).toEqual(["admitted", "admitted"]);
});
