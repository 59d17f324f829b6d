/**
 * mailboxes.json: what a local account's folders do not tell of their mailboxes, for the day on which both databases
 * are lost. Written when it has changed, and never read while there is a sidecar.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "../log.ts";
import type { EncodedMailboxName, MailboxId, UidValidity } from "../mail/ids.ts";
import type { MailboxRegistry } from "./mailbox-registry.ts";
import { uidlFormatKey } from "./pop3-fields.ts";
import type { StoreContext } from "./store-context.ts";

export interface NamedMailbox {
  readonly id: MailboxId;
  readonly name: EncodedMailboxName;
  readonly separator: string | null;
  readonly prefix: string;
  readonly directory: string;
  readonly attributes: readonly string[];
  readonly uidValidity?: UidValidity | undefined;
}

export interface MailboxNames {
  readonly mailboxes: readonly NamedMailbox[];
  readonly uidlFormat?: string | undefined;
}

const fileName = "mailboxes.json";

/** None where there is no such file, or one that cannot be read. */
export function readNames(directory: string, logger: Logger): MailboxNames {
  try {
    const names = JSON.parse(readFileSync(join(directory, fileName), "utf8")) as MailboxNames;
    return Array.isArray(names.mailboxes) ? names : { mailboxes: [] };
  } catch (error) {
    logger.warn({ err: error }, "mailboxes.json cannot be read: names are those of the folders");
    return { mailboxes: [] };
  }
}

export interface NamesFile {
  /** Something may have changed: written soon, once for many changes. */
  changed(): void;
  /** Written now, if it has changed. */
  write(): void;
}

export function createNamesFile(
  { directory, sidecar, flusher, logger }: StoreContext,
  registry: MailboxRegistry,
): NamesFile {
  let written: string | undefined;
  let waiting: NodeJS.Immediate | undefined;
  const text = (): string => {
    const mailboxes = registry
      .records()
      .map(({ id, name, separator, directory: folder, attributes, uidValidity }) => {
        const { prefix } = registry.kept(id);
        return {
          id,
          name,
          separator,
          prefix,
          directory: folder,
          attributes,
          uidValidity,
        } satisfies NamedMailbox;
      });
    const names: MailboxNames = { mailboxes, uidlFormat: sidecar.readSetting(uidlFormatKey) };
    return `${JSON.stringify(names, null, 1)}\n`;
  };
  const write = (): void => {
    clearImmediate(waiting);
    waiting = undefined;
    try {
      const next = text();
      if (next === written) return;
      const path = join(directory, fileName);
      writeFileSync(`${path}.tmp`, next, { mode: 0o600 });
      renameSync(`${path}.tmp`, path);
      written = next;
      flusher.wrote();
    } catch (error) {
      logger.warn({ err: error }, "mailboxes.json could not be written");
    }
  };
  return {
    changed() {
      waiting ??= setImmediate(write);
    },
    write,
  };
}
