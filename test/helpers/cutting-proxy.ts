/** Stands between Mailferry and a legacy server, and cuts the connection when a command comes by. */
import { connectBehind, serveTcp } from "./tcp-server.ts";

export type Cut =
  | "before"
  | "after"
  | "long after"
  | { readonly atByte: number }
  | { readonly answerTo: number };

const longAfterMs = 500;

export interface CuttingProxy {
  readonly port: number;
  /**
   * The next connection whose client sends what matches is cut: `before` drops the command, `after` lets
   * it through and drops the answer (`long after`: and cuts only when others have seen what was done), `atByte`
   * lets so many bytes from there on through, and `answerTo`
   * drops what the server answers to so many bytes.
   */
  cutNext(pattern: RegExp, when: Cut): void;
  /** What was to be cut has come by. */
  readonly hasFired: boolean;
  /** How many connections were cut. */
  readonly cuts: number;
  close(): Promise<void>;
}

export async function startCuttingProxy(targetPort: number): Promise<CuttingProxy> {
  let armed: { readonly pattern: RegExp; readonly when: Cut } | undefined;
  let cuts = 0;

  const { port, close } = await serveTcp((client) => {
    const target = connectBehind(client, targetPort);
    const cut = (): void => {
      cuts++;
      client.destroy();
      target.destroy();
    };
    let dropsAnswer = false;
    let isPatient = false;
    let timer: NodeJS.Timeout | undefined;
    let bytesLeft: number | undefined;
    let answerTo: number | undefined;
    const pass = (chunk: Buffer): void => {
      if (answerTo !== undefined) {
        answerTo -= chunk.length;
        dropsAnswer = answerTo <= 0;
      }
      if (bytesLeft === undefined) return void target.write(chunk);
      const passed = chunk.subarray(0, bytesLeft);
      bytesLeft -= passed.length;
      target.write(passed);
      // The server must have got them before the end of the connection overtakes.
      if (bytesLeft === 0) target.end(() => cut());
    };
    client.on("data", (chunk) => {
      if (bytesLeft !== undefined || answerTo !== undefined) return pass(chunk);
      if (!armed?.pattern.test(chunk.toString("latin1"))) return void target.write(chunk);
      const { when } = armed;
      armed = undefined;
      if (when === "before") return cut();
      if (typeof when === "object") {
        if ("atByte" in when) bytesLeft = when.atByte;
        else answerTo = when.answerTo;
        return pass(chunk);
      }
      dropsAnswer = true;
      isPatient = when === "long after";
      target.write(chunk);
    });
    target.on("data", (chunk) => {
      if (!dropsAnswer) client.write(chunk);
      else if (!isPatient) cut();
      else timer ??= setTimeout(cut, longAfterMs);
    });
    client.once("close", () => clearTimeout(timer));
  });
  return {
    port,
    cutNext(pattern, when) {
      armed = { pattern, when };
    },
    get hasFired() {
      return armed === undefined;
    },
    get cuts() {
      return cuts;
    },
    close,
  };
}
