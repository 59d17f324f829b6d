import { userInfo } from "node:os";
import { join } from "node:path";
import type { CertificateFiles } from "./tls.ts";

export interface DovecotNamespace {
  /** Hierarchy separator of the personal namespace. */
  readonly separator: "." | "/";
  /** `""`, or for instance `INBOX.`, which must end with the separator. */
  readonly prefix: string;
  /** Lets names hold the storage's own separator (`a.b` under `/`). */
  readonly listEscape: boolean;
  /** Mailbox name as Dovecot is told it (UTF-8), to attribute: `{ Sent: "\\Sent" }`. */
  readonly specialUse: Readonly<Record<string, string>>;
}

export interface DovecotPorts {
  readonly imap: number;
  readonly imaps: number;
  readonly pop3: number;
  readonly pop3s: number;
}

export interface DovecotSetup {
  readonly root: string;
  readonly ports: DovecotPorts;
  readonly protocols: readonly ("imap" | "pop3")[];
  readonly namespace: DovecotNamespace;
  readonly tls: CertificateFiles | undefined;
  /** Who reads and writes mail, where Dovecot is started as root (it refuses to touch mail as root). */
  readonly mailOwner: { readonly uid: number; readonly gid: number } | undefined;
  readonly mailLocation: string;
  readonly extraConfig: string;
}

/**
 * A private Dovecot 2.3 with nothing that disturbs tests: no delays, no limits, everything below `root`.
 */
export function dovecotConfig(setup: DovecotSetup): string {
  const { root, namespace, mailOwner } = setup;
  return `
base_dir = ${join(root, "run")}
state_dir = ${join(root, "state")}
log_path = ${join(root, "dovecot.log")}
protocols = ${setup.protocols.join(" ")}
listen = 127.0.0.1
${tlsConfig(setup)}
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
auth_username_chars =
auth_verbose = no
auth_worker_max_count = 1
mail_max_userip_connections = 0
mail_fsync = never
stats_writer_socket_path =
default_client_limit = 5000
default_vsz_limit = 0
first_valid_uid = 1
first_valid_gid = 1
${mailOwner ? `mail_uid = ${mailOwner.uid}\nmail_gid = ${mailOwner.gid}` : internalUsers()}
mail_location = ${setup.mailLocation}
mail_plugins = ${namespace.listEscape ? "listescape" : ""}
passdb {
  driver = passwd-file
  args = ${join(root, "users")}
}
userdb {
  driver = static
  args = home=${join(root, "mail")}/%u
}
namespace inbox {
  inbox = yes
  separator = ${namespace.separator}
  prefix = ${namespace.prefix}
${Object.entries(namespace.specialUse).map(specialUseBlock).join("")}}
${serviceConfig(setup)}
${setup.extraConfig}
`;
}

function tlsConfig({ tls }: DovecotSetup): string {
  if (!tls) return "ssl = no";
  return `ssl = yes\nssl_cert = <${tls.cert}\nssl_key = <${tls.key}`;
}

/** An ordinary user can neither change to the login users nor chroot. */
function internalUsers(): string {
  const user = userInfo().username;
  return `default_internal_user = ${user}\ndefault_login_user = ${user}\ndefault_internal_group =`;
}

function specialUseBlock([name, attribute]: [string, string]): string {
  return `  mailbox "${name}" {\n    special_use = ${attribute}\n  }\n`;
}

function serviceConfig({ ports, mailOwner, protocols }: DovecotSetup): string {
  const chroot = mailOwner ? "" : "  chroot =\n";
  const listener = (name: string, port: number): string =>
    `  inet_listener ${name} {\n    port = ${port}\n  }\n`;
  // service_count = 0 is Dovecot's high-performance mode: one login process serves many connections.
  const login = (protocol: "imap" | "pop3", plain: number, secure: number): string =>
    protocols.includes(protocol)
      ? `service ${protocol}-login {\n${chroot}  service_count = 0\n  process_min_avail = 1\n  process_limit = 2\n` +
        `${listener(protocol, plain)}${listener(`${protocol}s`, secure)}}\n` +
        `service ${protocol} {\n  process_limit = 5000\n}\n`
      : "";
  const unchrooted = mailOwner ? "" : "service stats {\n  chroot =\n}\n";
  // No delays after failed logins from the same address.
  const noPenalty = `service anvil {\n${chroot}  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}\n`;
  return `${login("imap", ports.imap, ports.imaps)}${login("pop3", ports.pop3, ports.pop3s)}${noPenalty}${unchrooted}`;
}
