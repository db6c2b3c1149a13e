import {createHash, randomBytes} from 'node:crypto';
import {createReadStream} from 'node:fs';
import {access, chmod, constants, mkdir, open, readFile, rename, rm, stat} from 'node:fs/promises';
import {homedir} from 'node:os';
import {join} from 'node:path';
import {pipeline} from 'node:stream/promises';
import {CodedError, isErrno} from '#shared/errors';
import {writeFileAtomic} from '#shared/files';
import type {ArtifactsErrorCode} from './errors.ts';

/** A file of the cache, named by its content. */
export interface Blob {
  /** Lower-case hex. */
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly path: string;
}

/** What a recipe gave: file name → blob, and how long it took. */
export interface CacheRecord {
  readonly files: Readonly<Record<string, {readonly sha256: string; readonly sizeBytes: number}>>;
  readonly seconds: number;
  /** What else the recipe's user wants to know next time. */
  readonly notes?: Readonly<Record<string, string>>;
}

const RECORD_BYTES_MAX = 1024 * 1024;
const BLOB_MODE = 0o755; // binaries are run from where they lie

/** `$XDG_CACHE_HOME/slipway`, else `~/.cache/slipway`. */
export function defaultCacheDirectory(env: NodeJS.ProcessEnv = process.env): string {
  return join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'slipway');
}

/**
 * Content-addressed files under one directory:
 *
 * - `blobs/<sha256>`: content, `blobs/<sha256>.seen`: size and mtime when it was last hashed
 * - `records/<key>.json`: what the recipe with this key gave
 * - `locks/`, `work/`: see `component-lock.ts`; unfinished work, worthless after a crash
 *
 * Every file appears by rename, so a reader sees all of it or nothing.
 */
export class ArtifactCache {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** @throws CodedError ERR_ARTIFACT_CACHE when this user cannot write there */
  static async open(directory: string): Promise<ArtifactCache> {
    const prepare = async () => {
      for (const name of ['blobs', 'locks', 'records', 'work']) {
        await mkdir(join(directory, name), {recursive: true});
        await access(join(directory, name), constants.R_OK | constants.W_OK);
      }
    };
    await guardDisk(directory, prepare());
    return new ArtifactCache(directory);
  }

  /** An empty folder on the cache's file system, removed with everything in it after `use`. */
  async withWorkFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
    const folder = join(this.directory, 'work', randomBytes(8).toString('hex'));
    await guardDisk(this.directory, mkdir(folder, {recursive: true}));
    try {
      return await guardDisk(this.directory, use(folder));
    } finally {
      await rm(folder, {recursive: true, force: true});
    }
  }

  /** What the recipe with this key gave, if every file of it is still there and unchanged. */
  async record(key: string): Promise<CacheRecord | undefined> {
    const text = await readIfPresent(this.#recordPath(key));
    if (text === undefined || text.length > RECORD_BYTES_MAX) return undefined;
    const record = parseRecord(text);
    for (const {sha256} of Object.values(record?.files ?? {})) {
      if ((await this.blob(sha256)) === undefined) return undefined;
    }
    return record;
  }

  async writeRecord(key: string, record: CacheRecord): Promise<void> {
    const text = `${JSON.stringify(record, undefined, 2)}\n`;
    await guardDisk(this.directory, writeFileAtomic(this.#recordPath(key), text));
  }

  /**
   * A blob by its digest, verified: it is hashed when size or mtime are not those of the last
   * time, and removed when the content is not what its name says.
   */
  async blob(sha256: string): Promise<Blob | undefined> {
    const path = this.blobPath(sha256);
    const stats = await stat(path, {bigint: true}).catch(ignoreAbsent);
    if (stats === undefined) return undefined;
    const seen = `${stats.size} ${stats.mtimeNs}`;
    if ((await readIfPresent(`${path}.seen`)) !== seen) {
      if ((await hashFile(path)) !== sha256) {
        await rm(path, {force: true});
        await rm(`${path}.seen`, {force: true});
        return undefined;
      }
      await guardDisk(this.directory, writeFileAtomic(`${path}.seen`, seen));
    }
    return {sha256, sizeBytes: Number(stats.size), path};
  }

  /** Takes a finished file of this file system into the cache; the file is gone afterwards. */
  async adopt(path: string): Promise<Blob> {
    const sha256 = await hashFile(path);
    await chmod(path, BLOB_MODE);
    const file = await open(path, 'r');
    try {
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(path, this.blobPath(sha256));
    const blob = await this.blob(sha256);
    if (blob === undefined) throw new TypeError(`blob ${sha256} vanished while it was adopted`);
    return blob;
  }

  blobPath(sha256: string): string {
    return join(this.directory, 'blobs', sha256);
  }

  #recordPath(key: string): string {
    return join(this.directory, 'records', `${key}.json`);
  }
}

/** Lower-case hex sha256 of a file's content, read in pieces. */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, {highWaterMark: 1024 * 1024}), hash);
  return hash.digest('hex');
}

function parseRecord(text: string): CacheRecord | undefined {
  try {
    const value = JSON.parse(text) as Partial<CacheRecord> | null;
    if (typeof value?.seconds !== 'number' || typeof value.files !== 'object') return undefined;
    const sound = Object.values(value.files).every(file => /^[0-9a-f]{64}$/.test(file.sha256));
    return sound ? {...value, files: value.files, seconds: value.seconds} : undefined;
  } catch {
    return undefined; // a damaged record is an absent one: it is made again
  }
}

async function readIfPresent(path: string): Promise<string | undefined> {
  return await readFile(path, 'utf8').catch(ignoreAbsent);
}

function ignoreAbsent(error: unknown): undefined {
  if (!isErrno(error, 'ENOENT')) throw error;
}

/** Turns what a disk can do to us into coded errors that name the cache. */
async function guardDisk<T>(directory: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    for (const code of ['ENOSPC', 'EDQUOT']) {
      if (isErrno(cause, code)) throw diskFull(directory, cause);
    }
    for (const code of ['EACCES', 'EEXIST', 'EROFS', 'ENOTDIR', 'EPERM']) {
      if (isErrno(cause, code)) throw cacheUnusable(directory, cause);
    }
    throw cause;
  }
}

function diskFull(directory: string, cause: unknown): CodedError<ArtifactsErrorCode> {
  return new CodedError('ERR_ARTIFACT_DISK_FULL', `no space left for the cache ${directory}`, {
    hint: "free some space, or set XDG_CACHE_HOME to a larger disk; a full set takes about 6 GB with Go's own cache",
    cause,
  });
}

function cacheUnusable(directory: string, cause: unknown): CodedError<ArtifactsErrorCode> {
  return new CodedError('ERR_ARTIFACT_CACHE', `cannot write the cache ${directory}`, {
    hint: 'make it writable for this user, or set XDG_CACHE_HOME',
    cause,
  });
}
