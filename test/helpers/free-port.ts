import { randomInt } from "node:crypto";
import { createServer } from "node:net";

/** Below those that the system gives to connections and to `listen(0)`: nobody else takes one by chance. */
const range = { from: 20_000, to: 32_000 } as const;

/** A loopback port that nobody listens on now, nor will while a server that has it is being restarted. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(range.from, range.to);
    if (await isFree(port)) return port;
  }
}

export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
