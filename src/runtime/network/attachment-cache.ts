import {mkdir, readdir, readFile, rename, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {isErrno} from '#shared/errors';
import type {Attachment} from './chain.ts';
import {isRecord} from './configuration.ts';

/**
 * What must be known to end an attachment after the configuration has changed, and after a
 * reboot: one file per sandbox, written while the first plugin runs.
 *
 * It is not waited for until it is on the disk, as a pod waits meanwhile: a record that a power
 * loss has damaged is read as none, and then the present configuration is used.
 */
export interface AttachmentCache {
  readonly write: (attachment: Attachment) => Promise<void>;
  /** `undefined` when there is none, or when it is damaged. */
  readonly read: (sandboxId: string) => Promise<Attachment | undefined>;
  readonly remove: (sandboxId: string) => Promise<void>;
  /** Ids of all sandboxes in it. */
  readonly list: () => Promise<readonly string[]>;
}

const SUFFIX = '.json';
const FORMAT = 1;
/** Also what CNI allows as a container's id. */
const SANDBOX_ID = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

export function openAttachmentCache(directory: string): AttachmentCache {
  const pathOf = (sandboxId: string): string => {
    if (!SANDBOX_ID.test(sandboxId)) throw new TypeError(`not a sandbox id: ${sandboxId}`);
    return join(directory, `${sandboxId}${SUFFIX}`);
  };
  return {
    async write(attachment) {
      const path = pathOf(attachment.sandboxId);
      const temporary = `${path}.tmp`; // a pod's work is done one step at a time
      await mkdir(directory, {recursive: true, mode: 0o700});
      await writeFile(temporary, JSON.stringify({format: FORMAT, attachment}), {mode: 0o600});
      await rename(temporary, path);
    },
    async read(sandboxId) {
      try {
        return parse(await readFile(pathOf(sandboxId), 'utf8'));
      } catch (error) {
        if (isErrno(error, 'ENOENT')) return undefined;
        throw error;
      }
    },
    async remove(sandboxId) {
      await rm(pathOf(sandboxId), {force: true});
    },
    async list() {
      await mkdir(directory, {recursive: true, mode: 0o700});
      const names = await readdir(directory);
      return names.filter(name => name.endsWith(SUFFIX)).map(name => name.slice(0, -SUFFIX.length));
    },
  };
}

function parse(text: string): Attachment | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    const isOurs =
      isRecord(parsed) && parsed['format'] === FORMAT && isRecord(parsed['attachment']);
    return isOurs ? (parsed['attachment'] as Attachment) : undefined;
  } catch {
    return undefined; // See above: nothing is known of it.
  }
}
