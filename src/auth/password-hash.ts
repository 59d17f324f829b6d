import { hash, verify } from "@node-rs/argon2";
import type { Secret } from "../mail/secret.ts";

/** OWASP's second choice for argon2id: 19 MiB, two passes, one lane; about 20 ms off the main thread. */
const cost = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const;

/** An argon2id hash in PHC form. */
export function hashPassword(password: Secret): Promise<string> {
  return hash(password.reveal(), cost);
}

/** False for a hash that cannot be read, too: a damaged record must not let anyone in. */
export async function matchesHash(password: Secret, phc: string): Promise<boolean> {
  try {
    return await verify(phc, password.reveal());
  } catch {
    return false;
  }
}
