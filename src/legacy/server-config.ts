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
    /** From the first packet to the end of the login; default 30 s. */
    readonly connectMs?: number;
    /** Silence while an answer is owed; default 5 min. */
    readonly commandMs?: number;
  };
}

export const defaultConnectMs = 30_000;
export const defaultCommandMs = 5 * 60_000;
