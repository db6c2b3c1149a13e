import {mkdir, readdir, rename, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {CodedError, isErrno, messageOf} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import {readRecord, writeRecord} from './record-file.ts';

// One folder per object:
//
//   <directory>/<id>/metadata.json   written once, before anything is made for the object
//   <directory>/<id>/status.json     written by every update(); absent while the object is being made
//   <directory>/.quarantine/<id>     what could not be read, for somebody to look at
//
const METADATA_FILE = 'metadata.json';
const STATUS_FILE = 'status.json';
const QUARANTINE = '.quarantine';
const REMOVING = '.removing-';
const ID = /^[0-9a-f]{64}$/;

/** What every sandbox and container has, whatever else is known of it. */
export interface Identity {
  /** 64 hexadecimal digits. */
  readonly id: string;
  /** Unique among the objects of its kind, e.g. `k8s_POD_NAMESPACE_UID_ATTEMPT`. */
  readonly name: string;
}

/** One sandbox or container: metadata that never changes, and a status with one way to change it. */
export interface StoredObject<Metadata extends Identity, Status> {
  readonly id: string;
  readonly metadata: Metadata;
  /** The present status, as last written to disk, but for what `lags` says. */
  readonly status: Status;
  /** True while the disk is full and does not have the present status: see {@link UpdateOptions}. */
  readonly lags: boolean;
  /** A folder on disk that lives as long as the object. */
  readonly directory: string;
  /** False until the first update: the object is still being made, and no list shows it. */
  readonly complete: boolean;
  /**
   * Changes the status: disk first, then memory; changes of one object never overlap.
   * `change` gets the newest status and returns the next one, or the same for "nothing to do".
   */
  update(change: (status: Status) => Status, options?: UpdateOptions): Promise<Status>;
}

export interface UpdateOptions {
  /**
   * Changes the status in memory also where the disk is full; every later update writes it again.
   * For what has happened already and a restart finds out by itself, such as an end: a full disk is
   * often made empty by removing what has ended.
   */
  readonly mayLag?: boolean;
}

/** What {@link ObjectStore.load} found on disk. */
export interface LoadResult {
  /** Ids of objects whose making was cut short: to be undone by the caller. */
  readonly unfinished: readonly string[];
  /** What could not be read and where it was put; one line each, for the log. */
  readonly quarantined: readonly string[];
}

export interface ObjectStoreOptions<Metadata extends Identity, Status> {
  /** Absolute; made when missing. */
  readonly directory: string;
  /** The status of an object before its first update. */
  readonly initial: (metadata: Metadata) => Status;
}

/** All sandboxes, or all containers: in memory for reading, on disk for the next daemon. */
export class ObjectStore<Metadata extends Identity, Status extends object> {
  readonly #directory: string;
  readonly #initial: (metadata: Metadata) => Status;
  readonly #byId = new Map<string, Entry<Metadata, Status>>();
  readonly #byName = new Map<string, Entry<Metadata, Status>>();

  constructor({directory, initial}: ObjectStoreOptions<Metadata, Status>) {
    this.#directory = directory;
    this.#initial = initial;
  }

  /** Writes the metadata of an object that is about to be made: intent before change. */
  async add(metadata: Metadata): Promise<StoredObject<Metadata, Status>> {
    const entry = this.#entry(metadata, this.#initial(metadata), false);
    if (this.#byId.has(entry.id) || this.#byName.has(metadata.name)) {
      throw new TypeError(`${metadata.name} is there already`);
    }
    this.#index(entry);
    try {
      await mkdir(entry.directory, {recursive: true, mode: 0o700});
      await writeRecord(join(entry.directory, METADATA_FILE), metadata);
    } catch (error) {
      this.#forget(entry);
      await rm(entry.directory, {recursive: true, force: true});
      throw error;
    }
    return entry;
  }

  get(id: string): StoredObject<Metadata, Status> | undefined {
    return this.#byId.get(id);
  }

  /** Finds by id or by a prefix of it that fits one object only; unfinished objects are not seen. */
  find(idOrPrefix: string): StoredObject<Metadata, Status> | undefined {
    const exact = this.#byId.get(idOrPrefix);
    if (exact) return exact.complete ? exact : undefined;
    if (!/^[0-9a-f]{1,63}$/.test(idOrPrefix)) return undefined;
    let found: Entry<Metadata, Status> | undefined;
    for (const entry of this.#byId.values()) {
      if (!entry.complete || !entry.id.startsWith(idOrPrefix)) continue;
      if (found) return undefined;
      found = entry;
    }
    return found;
  }

  /** The object that holds this name, unfinished ones included. */
  named(name: string): StoredObject<Metadata, Status> | undefined {
    return this.#byName.get(name);
  }

  /** All finished objects, oldest first. */
  list(): readonly StoredObject<Metadata, Status>[] {
    return [...this.#byId.values()].filter(entry => entry.complete);
  }

  /** Ids of all objects, the unfinished ones too. */
  ids(): ReadonlySet<string> {
    return new Set(this.#byId.keys());
  }

  /** Forgets an object, and its name, and deletes its folder. Unknown ids are nothing to do. */
  async remove(id: string): Promise<void> {
    const entry = this.#byId.get(id);
    if (!entry) return;
    await entry.settled();
    // One rename is atomic, a recursive removal is not: half a folder must never be loaded again.
    const doomed = join(this.#directory, `${REMOVING}${id}`);
    await rename(entry.directory, doomed).catch(ignoreMissing);
    this.#forget(entry);
    await rm(doomed, {recursive: true, force: true});
  }

  /** Reads all records after a start. What cannot be read is moved away, and never stops the rest. */
  async load(): Promise<LoadResult> {
    await mkdir(this.#directory, {recursive: true, mode: 0o700});
    const unfinished: string[] = [];
    const quarantined: string[] = [];
    const loaded: Entry<Metadata, Status>[] = [];
    for (const folder of await readdir(this.#directory)) {
      if (folder === QUARANTINE) continue;
      if (!ID.test(folder)) {
        await rm(join(this.#directory, folder), {recursive: true, force: true});
        continue;
      }
      try {
        const entry = await this.#read(folder);
        loaded.push(entry);
        if (!entry.complete) unfinished.push(entry.id);
      } catch (error) {
        quarantined.push(`${messageOf(error)}; now in ${await this.#setAside(folder)}`);
      }
    }
    loaded.sort((a, b) => (createdAt(a) < createdAt(b) ? -1 : 1));
    for (const entry of loaded) this.#index(entry);
    return {unfinished, quarantined};
  }

  async #read(id: string): Promise<Entry<Metadata, Status>> {
    const directory = join(this.#directory, id);
    const metadata = await readRecord(join(directory, METADATA_FILE));
    if (!isIdentity(metadata) || metadata.id !== id || this.#byName.has(metadata.name)) {
      throw corrupt(directory);
    }
    const status = await readRecord(join(directory, STATUS_FILE));
    if (status !== undefined && (typeof status !== 'object' || status === null)) {
      throw corrupt(directory);
    }
    // Records are our own, versioned and written whole: beyond this their shape is trusted.
    const known = metadata as Metadata;
    return this.#entry(known, (status as Status | undefined) ?? this.#initial(known), !!status);
  }

  async #setAside(folder: string): Promise<string> {
    const target = join(this.#directory, QUARANTINE, folder);
    await rm(target, {recursive: true, force: true});
    await mkdir(join(this.#directory, QUARANTINE), {recursive: true, mode: 0o700});
    await rename(join(this.#directory, folder), target);
    return target;
  }

  #entry(metadata: Metadata, status: Status, complete: boolean): Entry<Metadata, Status> {
    return new Entry(metadata, status, join(this.#directory, metadata.id), complete);
  }

  #index(entry: Entry<Metadata, Status>): void {
    this.#byId.set(entry.id, entry);
    this.#byName.set(entry.metadata.name, entry);
  }

  #forget(entry: Entry<Metadata, Status>): void {
    this.#byId.delete(entry.id);
    this.#byName.delete(entry.metadata.name);
  }
}

class Entry<Metadata extends Identity, Status extends object> implements StoredObject<
  Metadata,
  Status
> {
  readonly id: string;
  readonly metadata: Metadata;
  readonly directory: string;
  #status: Status;
  #complete: boolean;
  #lags = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(metadata: Metadata, status: Status, directory: string, complete: boolean) {
    this.id = metadata.id;
    this.metadata = metadata;
    this.directory = directory;
    this.#status = status;
    this.#complete = complete;
  }

  get status(): Status {
    return this.#status;
  }

  get complete(): boolean {
    return this.#complete;
  }

  get lags(): boolean {
    return this.#lags;
  }

  async update(change: (status: Status) => Status, options: UpdateOptions = {}): Promise<Status> {
    const next = this.#last.then(() => this.#write(change, options));
    this.#last = next.catch(() => undefined);
    return next;
  }

  async #write(
    change: (status: Status) => Status,
    {mayLag = false}: UpdateOptions,
  ): Promise<Status> {
    const next = change(this.#status);
    const isSame = next === this.#status && this.#complete;
    if (isSame && !this.#lags) return next;
    try {
      await writeRecord(join(this.directory, STATUS_FILE), next);
      this.#lags = false;
    } catch (error) {
      if (!isDiskFull(error) || !(mayLag || isSame)) throw error;
      this.#lags = true;
    }
    this.#status = next;
    this.#complete = true;
    return next;
  }

  /** Resolves when no update is under way. */
  async settled(): Promise<void> {
    await this.#last;
  }
}

function isIdentity(value: unknown): value is Identity {
  return (
    typeof value === 'object' &&
    value !== null &&
    'id' in value &&
    typeof value.id === 'string' &&
    'name' in value &&
    typeof value.name === 'string'
  );
}

function createdAt(entry: {readonly metadata: Identity}): bigint {
  const {metadata} = entry;
  return 'createdAtNs' in metadata && typeof metadata.createdAtNs === 'bigint'
    ? metadata.createdAtNs
    : 0n;
}

function isDiskFull(error: unknown): boolean {
  return isErrno(error, 'ENOSPC') || isErrno(error, 'EDQUOT');
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
}

function corrupt(directory: string): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_STATE_CORRUPT', `${directory}: not the record of this object`, {
    hint: 'the record is set aside; look at it there, then delete it',
  });
}
