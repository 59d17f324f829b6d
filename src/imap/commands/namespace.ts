/** NAMESPACE (RFC 2342), as the account has it. */
import type { AccountNamespace } from "../../account/account.ts";
import { define, nothing } from "../command.ts";
import { formatNstring, formatString, ok, untagged } from "../formatter.ts";

export const namespace = define({
  name: "NAMESPACE",
  state: "authenticated",
  parse: nothing,
  run: async ({ state, output, signal }) => {
    const { personal, otherUsers, shared } = await state.account.namespaces(signal);
    output.write(untagged(`NAMESPACE ${[personal, otherUsers, shared].map(formatNamespaces).join(" ")}`));
    return ok("Namespace completed.");
  },
});

function formatNamespaces(namespaces: readonly AccountNamespace[] | null): string {
  if (!namespaces || namespaces.length === 0) return "NIL";
  return `(${namespaces.map(({ prefix, separator }) => `(${formatString(prefix)} ${formatNstring(separator)})`).join("")})`;
}
