import {readFile} from 'node:fs/promises';
import {z} from 'zod';
import {CodedError, isErrno, messageOf} from '#shared/errors';
import {writeFileAtomic} from '#shared/files';
import {formatYaml, parseYaml} from '#shared/yaml';
import type {ArtifactsErrorCode} from './errors.ts';
import type {SourceName} from './sources/source.ts';

export const LOCK_FILE_NAME = 'cluster.lock.yaml';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const LOCKED_MAX = 1_000; // artifacts and images of one cluster, all architectures

const lockSchema = z.strictObject({
  apiVersion: z.literal('provision.dev/v1'),
  kind: z.literal('ClusterLock'),
  source: z.enum(['bundle', 'release', 'packages']),
  artifacts: z
    .array(
      z.strictObject({
        name: z.string(),
        arch: z.enum(['amd64', 'arm64']),
        version: z.string(),
        sha256,
      }),
    )
    .max(LOCKED_MAX),
  images: z
    .array(
      z.strictObject({
        reference: z.string(),
        arch: z.enum(['amd64', 'arm64']),
        /** How we made its layers; absent for an image that somebody else has made. */
        compression: z.enum(['none', 'gzip', 'zstd']).optional(),
        digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
      }),
    )
    .max(LOCKED_MAX),
});

/** `cluster.lock.yaml`: what a cluster's artifacts and images are, byte for byte. */
export type ClusterLock = Readonly<z.infer<typeof lockSchema>>;
export type LockedArtifact = Readonly<ClusterLock['artifacts'][number]>;
export type LockedImage = Readonly<ClusterLock['images'][number]>;

/**
 * Reads the lock, and grows it: what it does not name yet is added, what it names must agree.
 * Without a path nothing is kept and everything agrees.
 */
export class LockFile {
  readonly #path: string | undefined;
  #lock: ClusterLock;
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string | undefined, lock: ClusterLock) {
    this.#path = path;
    this.#lock = lock;
  }

  /**
   * @throws CodedError ERR_LOCK_INVALID for a file that is no lock, ERR_LOCK_SOURCE for the lock
   *   of another source
   */
  static async open(path: string | undefined, source: SourceName): Promise<LockFile> {
    const lock = (path === undefined ? undefined : await readLock(path)) ?? emptyLock(source);
    if (lock.source === source) return new LockFile(path, lock);
    throw new CodedError<ArtifactsErrorCode>(
      'ERR_LOCK_SOURCE',
      `${String(path)} locks artifacts of the source "${lock.source}", this run is told "${source}"`,
      {
        hint: `set artifacts.source to "${lock.source}", or remove the lock file to write a new one`,
      },
    );
  }

  artifact(name: string, arch: string): LockedArtifact | undefined {
    return this.#lock.artifacts.find(locked => locked.name === name && locked.arch === arch);
  }

  /**
   * Adds an artifact, or checks it against what is locked.
   *
   * @throws CodedError ERR_LOCK_VERSION, ERR_ARTIFACT_CHECKSUM
   */
  async admitArtifact(found: LockedArtifact): Promise<void> {
    const locked = this.artifact(found.name, found.arch);
    if (locked === undefined) {
      await this.#write({...this.#lock, artifacts: [...this.#lock.artifacts, found]});
      return;
    }
    this.checkVersion(found);
    if (locked.sha256 === found.sha256) return;
    throw checksumMismatch(`${found.name} ${found.version} (${found.arch})`, this.#path, {
      locked: locked.sha256,
      found: found.sha256,
    });
  }

  /** Notes what an artifact is now, whatever it was before: for programs of this checkout. */
  async recordArtifact(found: LockedArtifact): Promise<void> {
    const locked = this.artifact(found.name, found.arch);
    if (locked?.sha256 === found.sha256 && locked.version === found.version) return;
    const others = this.#lock.artifacts.filter(each => each !== locked);
    await this.#write({...this.#lock, artifacts: [...others, found]});
  }

  /** @throws CodedError ERR_LOCK_VERSION when the lock names another version of this artifact */
  checkVersion({name, arch, version}: Omit<LockedArtifact, 'sha256'>): void {
    const locked = this.artifact(name, arch);
    if (locked === undefined || locked.version === version) return;
    throw new CodedError<ArtifactsErrorCode>(
      'ERR_LOCK_VERSION',
      `${String(this.#path)} locks ${name} ${locked.version}, this slipway makes ${version}`,
      {hint: 'remove the lock file to write a new one, or use the slipway that wrote it'},
    );
  }

  /** What an image may be, whatever its compression; empty when the lock does not name it. */
  imageDigests(reference: string, arch: string): readonly string[] {
    return this.#lock.images
      .filter(locked => locked.reference === reference && locked.arch === arch)
      .map(({digest}) => digest);
  }

  /** Adds an image, or checks it. @throws CodedError ERR_ARTIFACT_CHECKSUM */
  async admitImage(found: LockedImage): Promise<void> {
    const locked = this.#lockedImage(found);
    if (locked === undefined) {
      await this.#write({...this.#lock, images: [...this.#lock.images, found]});
    } else if (locked.digest !== found.digest) {
      const detail = {locked: locked.digest, found: found.digest};
      throw checksumMismatch(found.reference, this.#path, detail);
    }
  }

  /** Notes what an image is now, whatever it was before: for those with a program of this checkout. */
  async recordImage(found: LockedImage): Promise<void> {
    const locked = this.#lockedImage(found);
    if (locked?.digest === found.digest) return;
    const others = this.#lock.images.filter(each => each !== locked);
    await this.#write({...this.#lock, images: [...others, found]});
  }

  #lockedImage({reference, arch, compression}: LockedImage): LockedImage | undefined {
    return this.#lock.images.find(
      locked =>
        locked.reference === reference &&
        locked.arch === arch &&
        locked.compression === compression,
    );
  }

  /** Writes go one after the other, so that the last one holds everything. */
  async #write(lock: ClusterLock): Promise<void> {
    this.#lock = lock;
    const path = this.#path;
    if (path === undefined) return;
    const writing = this.#writing.then(() => writeFileAtomic(path, formatLock(this.#lock)));
    this.#writing = writing.catch(() => undefined); // each caller sees the failure of its own write
    await writing;
  }
}

/** The file's text: sorted, so that equal locks are equal files. */
export function formatLock(lock: ClusterLock): string {
  const key = (entry: LockedArtifact | LockedImage) =>
    'name' in entry
      ? `${entry.name} ${entry.arch}`
      : `${entry.reference} ${entry.arch} ${entry.compression ?? ''}`;
  const sorted = <T extends LockedArtifact | LockedImage>(entries: readonly T[]) =>
    [...entries].sort((a, b) => (key(a) < key(b) ? -1 : 1));
  return formatYaml({...lock, artifacts: sorted(lock.artifacts), images: sorted(lock.images)});
}

async function readLock(path: string): Promise<ClusterLock | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw lockInvalid(path, messageOf(error), error);
  }
  const {value} = parseYaml(text, {file: path});
  const parsed = lockSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw lockInvalid(path, z.prettifyError(parsed.error), parsed.error);
}

function emptyLock(source: SourceName): ClusterLock {
  return {apiVersion: 'provision.dev/v1', kind: 'ClusterLock', source, artifacts: [], images: []};
}

function lockInvalid(path: string, reason: string, cause: unknown): CodedError<ArtifactsErrorCode> {
  return new CodedError('ERR_LOCK_INVALID', `${path} is not a lock file: ${reason}`, {
    hint: 'restore it from version control, or remove it to write a new one',
    cause,
  });
}

function checksumMismatch(
  what: string,
  path: string | undefined,
  {locked, found}: {locked: string; found: string},
): CodedError<ArtifactsErrorCode> {
  return new CodedError(
    'ERR_ARTIFACT_CHECKSUM',
    `${what} is not what ${String(path)} locks: found ${found}, locked ${locked}`,
    {
      hint: 'another compiler or newer Debian packages give other bytes: remove the lock file to accept these',
    },
  );
}
