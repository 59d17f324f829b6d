import { type Logger as PinoLogger, pino } from "pino";

export type Logger = PinoLogger;

export interface LogOptions {
  readonly level: "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";
  /** Human-readable lines; needs pino-pretty, otherwise JSON lines are written. */
  readonly pretty: boolean;
}

/** Logs go to standard error: standard output belongs to what a command answers. */
export function createLogger(options: LogOptions): Logger {
  const base = { level: options.level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  if (!options.pretty) return pino(base, pino.destination({ dest: 2, sync: true }));
  return pino({ ...base, transport: { target: "pino-pretty", options: { destination: 2, colorize: true } } });
}

export const silentLogger: Logger = pino({ level: "silent" });
