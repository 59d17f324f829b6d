/**
 * The configuration file: YAML, checked whole before anything is opened. Whatever is wrong becomes one
 * `ConfigError` whose lines name the key and what was expected there.
 */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { isNetwork } from "./auth/networks.ts";
import { parseDailyHours } from "./daily-hours.ts";
import { ConfigError } from "./errors.ts";
import { parseUidlFormat, uidlPresets } from "./mail/uidl-format.ts";

const port = z.int("expected a port number").min(0).max(65_535);
const tlsMode = z.enum(["none", "starttls", "implicit"], "expected none, starttls or implicit");
const text = z.string("expected a text").min(1, "must not be empty");

const listener = z.strictObject({
  protocol: z.enum(["imap", "pop3"], "expected imap or pop3"),
  address: text,
  port,
  tls: tlsMode,
});

const legacyServer = z.strictObject({
  host: text,
  port: port.min(1),
  tls: tlsMode,
  verify: z.boolean("expected true or false").default(true),
  ca: text.optional(),
});

const legacy = z
  .strictObject({
    domains: z.array(text, "expected a list of domains").min(1, 'expected at least one domain, or "*"'),
    imap: legacyServer.optional(),
    pop3: legacyServer.optional(),
    login: text.default("%u"),
    timeout: z.number("expected seconds").min(1, "expected at least 1 second").default(120),
    patience: z.number("expected seconds").min(0, "expected 0 seconds or more").default(5),
    connections: z
      .strictObject({
        perUser: z.int().min(2, "expected at least 2: one is kept for interactive work").default(4),
        total: z.int().min(2).default(200),
      })
      .prefault({}),
  })
  .refine((value) => value.imap ?? value.pop3, { message: "expected imap, pop3 or both" });

const network = text.refine(isNetwork, "expected an address or a network like 10.0.0.0/8 or fd00::/8");
const count = z.int("expected a number").min(1, "expected at least 1");

function uidlPresetOr(text: string): string {
  return Object.hasOwn(uidlPresets, text) ? uidlPresets[text as keyof typeof uidlPresets] : text;
}

const hook = z
  .strictObject({
    command: z.array(text, "expected a list: a program and its arguments").min(1).optional(),
    url: text
      .refine(isPlainUrl, "expected a URL like https://host/path, without user and password")
      .optional(),
    timeout: z.number("expected seconds").min(1, "expected at least 1 second").max(3_600).default(30),
  })
  .refine(({ command, url }) => (command === undefined) !== (url === undefined), {
    message: "expected command or url",
  });

function isPlainUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  return /^https?:$/.test(protocol) && username === "" && password === "";
}

const hoursExpected = 'expected hours like "22:00-05:00"';
const legacyList = "expected a list of legacy servers";

const schema = z.strictObject({
  dataDir: text,
  hostname: text,
  listen: z.array(listener, "expected a list of listeners").min(1, "expected at least one listener"),
  tls: z.strictObject({ cert: text, key: text }).optional(),
  allowPlaintextLogin: z.boolean("expected true or false").default(false),
  auth: z
    .strictObject({
      trustedNetworks: z.array(network, "expected a list of networks").default(["127.0.0.0/8", "::1"]),
      capturePasswords: z.boolean("expected true or false").default(true),
    })
    .prefault({}),
  pop3: z
    .strictObject({
      uidlFormat: text
        .refine((value) => parseUidlFormat(uidlPresetOr(value)) !== undefined, {
          message: "expected dovecot, cyrus, courier or a format like %08Xu%08Xv",
        })
        .transform(uidlPresetOr)
        .default(uidlPresets.dovecot),
      markSeen: z.boolean("expected true or false").default(true),
      mailboxes: z.enum(["inbox", "all"], "expected inbox or all").default("inbox"),
      onUnmatched: z.enum(["passthrough", "refuse"], "expected passthrough or refuse").default("passthrough"),
    })
    .prefault({}),
  cutover: z
    .strictObject({
      sweepDays: z.int("expected a number of days").min(0).default(30),
      hook: hook.optional(),
      auto: z.boolean("expected true or false").default(false),
      afterVerifiedDays: z.number("expected a number of days").min(0).default(1),
      hours: z
        .string(hoursExpected)
        .transform((value, { addIssue }) => {
          const hours = parseDailyHours(value);
          if (!hours) addIssue(hoursExpected);
          return hours ?? z.NEVER;
        })
        .prefault("00:00-24:00"),
    })
    .prefault({}),
  deletions: z
    .strictObject({
      confirmAfter: z.number("expected seconds").min(1, "expected at least 1 second").default(30),
      keepDays: z.number("expected a number of days").min(0).default(14),
    })
    .prefault({}),
  limits: z
    .strictObject({
      connections: count.default(10_000),
      connectionsPerAddress: count.default(1_000),
      sessionsPerUserAndAddress: count.default(20),
    })
    .prefault({}),
  legacy: z.array(legacy, legacyList),
  log: z
    .strictObject({
      level: z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]).default("info"),
      pretty: z.boolean("expected true or false").default(false),
    })
    .prefault({}),
});

export type Config = z.infer<typeof schema>;
type HookConfig = z.infer<typeof hook>;
export type ListenerConfig = z.infer<typeof listener>;
export type LegacyConfig = z.infer<typeof legacy>;
export type LegacyServerConfig = z.infer<typeof legacyServer>;

/** Reads and checks FILE; relative paths in it are relative to it. Throws ConfigError. */
export function loadConfig(file: string): Config {
  let source: string;
  try {
    source = readFileSync(file, "utf8");
  } catch (error) {
    throw new ConfigError(`${file}: cannot be read (${(error as NodeJS.ErrnoException).code ?? error})`);
  }
  return parseConfig(source, file);
}

/** Checks the text of a configuration; `file` names it in messages and anchors relative paths. */
export function parseConfig(source: string, file: string): Config {
  let document: unknown;
  try {
    document = parse(source);
  } catch (error) {
    throw new ConfigError(`${file}: not valid YAML: ${(error as Error).message}`);
  }
  const result = schema.safeParse(document);
  if (!result.success) {
    throw new ConfigError(
      result.error.issues.map((issue) => `${file}: ${describe(issue, document)}`).join("\n"),
    );
  }
  checkListeners(result.data, file);
  const { auth, cutover } = result.data;
  if (cutover.auto && !auth.capturePasswords)
    throw new ConfigError(`${file}: cutover.auto: needs auth.capturePasswords, or nobody could log in`);
  return withAbsolutePaths(result.data, dirname(resolve(file)));
}

function describe(issue: z.core.$ZodIssue, document: unknown): string {
  const key = issue.path
    .map((step, index) => (typeof step === "number" ? `[${step}]` : `${index ? "." : ""}${String(step)}`))
    .join("");
  if (issue.code === "unrecognized_keys") {
    const names = issue.keys.map((name) => (key ? `${key}.${name}` : name)).join(", ");
    return `${names}: unknown key`;
  }
  const missing = issue.code === "invalid_type" && valueAt(document, issue.path) === undefined;
  return `${key || "the file"}: ${missing ? `missing (${issue.message})` : issue.message}`;
}

function valueAt(document: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, step) => (value as Record<PropertyKey, unknown> | null | undefined)?.[step],
    document,
  );
}

function checkListeners(config: Config, file: string): void {
  config.listen.forEach((entry, index) => {
    if (entry.tls !== "none" && !config.tls) {
      throw new ConfigError(
        `${file}: tls: missing (listen[${index}] has tls: ${entry.tls} and needs cert and key)`,
      );
    }
  });
}

function withAbsolutePaths(config: Config, base: string): Config {
  const absolute = (path: string): string => resolve(base, path);
  const withProgram = (entry: HookConfig): HookConfig => {
    const [program = "", ...args] = entry.command ?? [];
    // One without a slash is looked up in PATH.
    return program.includes("/") ? { ...entry, command: [absolute(program), ...args] } : entry;
  };
  const server = (entry: LegacyServerConfig): LegacyServerConfig =>
    entry.ca === undefined ? entry : { ...entry, ca: absolute(entry.ca) };
  return {
    ...config,
    dataDir: absolute(config.dataDir),
    ...(config.cutover.hook && { cutover: { ...config.cutover, hook: withProgram(config.cutover.hook) } }),
    ...(config.tls && { tls: { cert: absolute(config.tls.cert), key: absolute(config.tls.key) } }),
    legacy: config.legacy.map((entry) => ({
      ...entry,
      ...(entry.imap && { imap: server(entry.imap) }),
      ...(entry.pop3 && { pop3: server(entry.pop3) }),
    })),
  };
}
