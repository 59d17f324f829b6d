import { describe, expect, it } from "vitest";
import { loadConfig, parseConfig } from "../src/config.ts";

const minimal = `
dataDir: data
hostname: mail.example.com
listen:
  - { protocol: imap, address: 127.0.0.1, port: 0, tls: none }
legacy:
  - domains: ["*"]
    imap: { host: old.example.com, port: 143, tls: none }
`;

const errorOf = (source: string): string => {
  try {
    parseConfig(source, "/etc/mailferry.yaml");
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("accepted");
};

describe("configuration", () => {
  it("fills in defaults and makes paths absolute", () => {
    expect(parseConfig(minimal, "/etc/mailferry.yaml")).toEqual({
      dataDir: "/etc/data",
      hostname: "mail.example.com",
      listen: [{ protocol: "imap", address: "127.0.0.1", port: 0, tls: "none" }],
      allowPlaintextLogin: false,
      auth: { trustedNetworks: ["127.0.0.0/8", "::1"], capturePasswords: true },
      pop3: {
        uidlFormat: "%08Xu%08Xv",
        markSeen: true,
        mailboxes: "inbox",
        onUnmatched: "passthrough",
      },
      deletions: { confirmAfter: 30, keepDays: 14 },
      cutover: { sweepDays: 30, auto: false, afterVerifiedDays: 1, hours: { from: 0, to: 1440 } },
      limits: { connections: 10_000, connectionsPerAddress: 1_000, sessionsPerUserAndAddress: 20 },
      legacy: [
        {
          domains: ["*"],
          imap: { host: "old.example.com", port: 143, tls: "none", verify: true },
          login: "%u",
          timeout: 120,
          patience: 5,
          connections: { perUser: 4, total: 200 },
        },
      ],
      log: { level: "info", pretty: false },
    });
  });

  it("has every default of the example in config/", () => {
    const example = loadConfig(new URL("../config/mailferry.yaml", import.meta.url).pathname);
    const defaults = parseConfig(minimal, "/etc/mailferry.yaml");
    expect(example).toMatchObject({ auth: defaults.auth, limits: defaults.limits, log: defaults.log });
    expect(example.pop3).toEqual(defaults.pop3);
    expect(example.cutover).toEqual(defaults.cutover);
    expect(example.deletions).toEqual(defaults.deletions);
  });

  it("takes a hook's program from beside the file, or from PATH", () => {
    const commandOf = (command: string) =>
      parseConfig(`${minimal}\ncutover: { hook: { command: ${command} } }`, "/etc/mailferry.yaml").cutover
        .hook?.command;
    expect(commandOf("[./hook, ./argument]")).toEqual(["/etc/hook", "./argument"]);
    expect(commandOf("[hook]")).toEqual(["hook"]);
  });

  it.each([
    [
      "a missing key",
      minimal.replace("hostname: mail.example.com", ""),
      "hostname: missing (expected a text)",
    ],
    [
      "a wrong type",
      minimal.replace("port: 143", "port: imap"),
      "legacy[0].imap.port: expected a port number",
    ],
    ["an unknown key", `${minimal}\nfoo: 1`, "foo: unknown key"],
    [
      "an unknown key further down",
      minimal.replace("tls: none }\nlegacy", "tls: none, tsl: none }\nlegacy"),
      "listen[0].tsl: unknown key",
    ],
    [
      "a wrong word",
      minimal.replace("tls: none }\nlegacy", "tls: ssl }\nlegacy"),
      "expected none, starttls or implicit",
    ],
    [
      "TLS without a certificate",
      minimal.replace("tls: none }\nlegacy", "tls: implicit }\nlegacy"),
      "tls: missing",
    ],
    [
      "a UIDL format that tells no messages apart",
      `${minimal}\npop3: { uidlFormat: "%v" }`,
      "pop3.uidlFormat: expected dovecot, cyrus",
    ],
    [
      "a network that is none",
      `${minimal}\nauth: { trustedNetworks: [10.0.0.0/8, 10.0.0.0/33] }`,
      "auth.trustedNetworks[1]: expected an address or a network",
    ],
    [
      "a limit that lets nobody in",
      `${minimal}\nlimits: { connections: 0 }`,
      "limits.connections: expected at least 1",
    ],
    [
      "hours that are none",
      `${minimal}\ncutover: { hours: "22-5" }`,
      'cutover.hours: expected hours like "22:00-05:00"',
    ],
    [
      "cutovers by policy of accounts that nobody could log in to",
      `${minimal}\nauth: { capturePasswords: false }\ncutover: { auto: true }`,
      "cutover.auto: needs auth.capturePasswords",
    ],
    ["a hook that is none", `${minimal}\ncutover: { hook: {} }`, "cutover.hook: expected command or url"],
    [
      "a hook with a password in it",
      `${minimal}\ncutover: { hook: { url: "https://me:secret@host/" } }`,
      "cutover.hook.url: expected a URL like https://host/path, without user and password",
    ],
    ["an empty file", "", "the file: "],
    ["no YAML", "a: [", "not valid YAML"],
  ])("names the key and what was expected: %s", (_, source, message) => {
    expect(errorOf(source)).toContain("/etc/mailferry.yaml: ");
    expect(errorOf(source)).toContain(message);
  });
});
