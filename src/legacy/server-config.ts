/** How to reach an old server, whatever its protocol. */
export interface LegacyServerConfig {
  readonly host: string;
  readonly port: number;
  readonly tls: "none" | "starttls" | "implicit";
  /** False takes any certificate. */
  readonly verify: boolean;
  /** PEM of the authority to trust instead of the system's. */
  readonly ca?: Buffer | string;
  readonly timeouts?: {
    /** From the first packet to the greeting; default 30 s. */
    readonly connectMs?: number;
    /** So much longer for the end of the login, where the server has greeted; default 30 s. */
    readonly loginMs?: number;
    /** Silence while an answer is owed; default 5 min. */
    readonly commandMs?: number;
  };
}

export const defaultConnectMs = 30_000;
/** Whatever patience there is for anything else: only the server can prove a password. */
export const defaultLoginMs = 30_000;
export const defaultCommandMs = 5 * 60_000;
