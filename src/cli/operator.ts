/** Who gives a command: the user, and on whose behalf sudo runs it. */
import { userInfo } from "node:os";

export function operatorName(): string {
  const behind = process.env["SUDO_USER"];
  const name = nameOfUser();
  return behind === undefined || behind === "" || behind === name ? name : `${name} (sudo by ${behind})`;
}

/** A user without an entry in the system's list has a number only. */
function nameOfUser(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? "unknown"}`;
  }
}
