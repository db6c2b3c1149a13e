import {mkdir, readdir, readFile, rename, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {isErrno} from '#shared/errors';
import type {Log} from '../log.ts';
import type {NetworkConfiguration} from './cni-configuration.ts';
import type {PodNetworkIdentity} from './pod-network-identity.ts';

/** What an ADD was made with, so that its DEL is the same even when the network has changed since. */
export interface Attachment {
  readonly identity: PodNetworkIdentity;
  readonly network: NetworkConfiguration;
  /** Of the whole chain; missing while the ADD runs. */
  readonly result?: unknown;
}

/** Attachments on disk, by sandbox; they outlive a reboot, as addresses that plugins lease do. */
export class Attachments {
  readonly #directory: string;
  readonly #log: Log;

  constructor(directory: string, log: Log) {
    this.#directory = directory;
    this.#log = log;
  }

  async read(sandboxId: string): Promise<Attachment | undefined> {
    const path = this.#path(sandboxId);
    try {
      return JSON.parse(await readFile(path, 'utf8')) as Attachment; // we wrote it whole or not
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) this.#log.warn('attachment cannot be read', {path, error});
      return undefined;
    }
  }

  /** Old or new for every reader and after a crash of the daemon; not synced, as it is hot. */
  async write(attachment: Attachment): Promise<void> {
    await mkdir(this.#directory, {recursive: true, mode: 0o700});
    const path = this.#path(attachment.identity.sandboxId);
    const temporary = `${path}.tmp`; // a pod's work is done one step at a time
    await writeFile(temporary, JSON.stringify(attachment), {mode: 0o600});
    await rename(temporary, path);
  }

  async remove(sandboxId: string): Promise<void> {
    await rm(this.#path(sandboxId), {force: true});
  }

  async list(): Promise<readonly string[]> {
    const names = await readdir(this.#directory).catch(() => []);
    return names.filter(name => name.endsWith('.json')).map(name => name.slice(0, -'.json'.length));
  }

  #path(sandboxId: string): string {
    return join(this.#directory, `${sandboxId}.json`);
  }
}
