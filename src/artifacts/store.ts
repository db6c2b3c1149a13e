import {readdir, rm, stat} from 'node:fs/promises';
import {join} from 'node:path';
import type {Arch, Artifact, ArtifactName} from './artifact.ts';
import {BuildQueue} from './build-queue.ts';
import {ArtifactCache, type Blob, type CacheRecord, defaultCacheDirectory} from './cache.ts';
import {catalogue, componentOf, isOfCheckout, filesOf} from './catalogue.ts';
import type {Component, FileName} from './recipe.ts';
import {withFileLock} from './component-lock.ts';
import {LockFile} from './lock-file.ts';
import {type OnProgress, reportWork} from './progress.ts';
import {openBundleSource} from './sources/bundle.ts';
import {machineArch, openPackagesSource} from './sources/packages.ts';
import {openReleaseSource} from './sources/release.ts';
import type {ArtifactSource, SourceName, SourceOptions} from './sources/source.ts';

export interface StoreOptions {
  readonly source: SourceName;
  /** Default: `$XDG_CACHE_HOME/slipway`, else `~/.cache/slipway`. */
  readonly cacheDirectory?: string;
  /** Of the hosts; default: this machine's. */
  readonly arch?: Arch;
  /** `cluster.lock.yaml`; made when absent. Without it nothing is locked. */
  readonly lockFilePath?: string;
  readonly signal: AbortSignal;
  readonly onProgress?: OnProgress;
}

/** A component as it lies in the cache. */
export interface BuiltComponent {
  readonly component: Component;
  readonly files: readonly {readonly name: FileName; readonly blob: Blob}[];
  /** What making it took, now or when it was put into the cache. */
  readonly seconds: number;
}

/** Two keep both cores busy while one of them links; more would only cost memory. */
const BUILDS_AT_ONCE_MAX = 2;
const WORK_AGE_MS_MAX = 24 * 60 * 60_000;

/**
 * Opens the artifacts of one source in one cache. Nothing is built yet.
 *
 * @throws CodedError ERR_ARTIFACT_SOURCE_UNAVAILABLE, ERR_ARTIFACT_ARCH_UNAVAILABLE,
 *   ERR_ARTIFACT_CACHE, ERR_LOCK_INVALID, ERR_LOCK_SOURCE
 */
export async function openArtifactStore(options: StoreOptions): Promise<ArtifactStore> {
  const {arch = machineArch(), signal, onProgress = () => undefined} = options;
  const lock = await LockFile.open(options.lockFilePath, options.source);
  const source = openSource(options.source, {arch, signal, onProgress});
  const cache = await ArtifactCache.open(options.cacheDirectory ?? defaultCacheDirectory());
  await sweepWork(cache.directory);
  return new ArtifactStore({arch, source, cache, lock, signal, onProgress});
}

interface StoreParts {
  readonly arch: Arch;
  readonly source: ArtifactSource;
  readonly cache: ArtifactCache;
  readonly lock: LockFile;
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
}

/** Verified artifacts by name; what the cache lacks is made on demand, each component once. */
export class ArtifactStore {
  readonly arch: Arch;
  readonly cache: ArtifactCache;
  readonly lock: LockFile;
  readonly #parts: StoreParts;
  readonly #queue = new BuildQueue(BUILDS_AT_ONCE_MAX);
  readonly #components = new Map<Component, Promise<BuiltComponent>>();

  constructor(parts: StoreParts) {
    this.#parts = parts;
    this.arch = parts.arch;
    this.cache = parts.cache;
    this.lock = parts.lock;
  }

  get source(): SourceName {
    return this.#parts.source.name;
  }

  /**
   * A program for hosts of this architecture, made when it is absent, verified against the lock.
   *
   * @throws CodedError any code of `errors.ts` but ERR_LOCK_INVALID and ERR_LOCK_SOURCE; the
   *   signal's reason when aborted
   */
  async artifact(name: ArtifactName): Promise<Artifact> {
    const {version} = componentOf(name);
    const {sha256, sizeBytes, path} = await this.file(name);
    return {name, version, arch: this.arch, sha256, sizeBytes, path};
  }

  /** Like {@link artifact}, for anything that a component gives; image layers use it. */
  async file(name: FileName): Promise<Blob> {
    const component = componentOf(name);
    const {version} = component;
    if (isOfCheckout(component)) {
      const blob = fileOf(await this.#component(component), name);
      await this.lock.recordArtifact({name, arch: this.arch, version, sha256: blob.sha256});
      return blob;
    }
    this.lock.checkVersion({name, arch: this.arch, version});
    const locked = this.lock.artifact(name, this.arch);
    // What is locked and at hand needs no compiler and no key: the digest says it all.
    const atHand = locked && (await this.cache.blob(locked.sha256));
    const blob = atHand ?? fileOf(await this.#component(component), name);
    await this.lock.admitArtifact({name, arch: this.arch, version, sha256: blob.sha256});
    return blob;
  }

  /** Makes every component; the first failure is thrown when the others have ended. */
  async buildAll(): Promise<readonly BuiltComponent[]> {
    const results = await Promise.allSettled(catalogue.map(component => this.#whole(component)));
    const failed = results.find(result => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    return results.flatMap(result => (result.status === 'fulfilled' ? [result.value] : []));
  }

  async #whole(component: Component): Promise<BuiltComponent> {
    const built = await this.#component(component);
    for (const file of filesOf(component)) await this.file(file);
    return built;
  }

  /** Callers at the same time share one build; a failed one may be tried again. */
  async #component(component: Component): Promise<BuiltComponent> {
    const known = this.#components.get(component);
    if (known !== undefined) return await known;
    const making = this.#make(component);
    this.#components.set(component, making);
    try {
      return await making;
    } catch (error) {
      this.#components.delete(component);
      throw error;
    }
  }

  async #make(component: Component): Promise<BuiltComponent> {
    const {cache, source, signal, onProgress} = this.#parts;
    const key = await source.key(component);
    const report = (state: 'cached' | 'waiting') => {
      onProgress({component: component.name, state, seconds: 0});
    };
    const cached = async () => {
      const record = await cache.record(key);
      if (record !== undefined) report('cached');
      return record;
    };
    const build = async () => (await cached()) ?? (await this.#build(component, key));
    const onWait = () => {
      report('waiting');
    };
    const rank = catalogue.indexOf(component);
    const record =
      (await cached()) ??
      (await this.#queue.run({rank, signal, onWait}, async () => {
        const lockPath = join(cache.directory, 'locks', component.name);
        return await withFileLock(lockPath, {signal, onWait}, build);
      }));
    const files = filesOf(component).map(name => ({name, blob: this.#blobOf(record, name)}));
    return {component, files, seconds: record.seconds};
  }

  async #build(component: Component, key: string): Promise<CacheRecord> {
    const {cache, source, onProgress} = this.#parts;
    const work = () =>
      cache.withWorkFolder(async folder => {
        const files: Record<string, {sha256: string; sizeBytes: number}> = {};
        for (const [name, path] of Object.entries(await source.provide(component, folder))) {
          const {sha256, sizeBytes} = await cache.adopt(path);
          files[name] = {sha256, sizeBytes};
        }
        return files;
      });
    const {result, seconds} = await reportWork({component: component.name, onProgress}, work);
    const record = {files: result, seconds};
    await cache.writeRecord(key, record);
    return record;
  }

  #blobOf(record: CacheRecord, name: FileName): Blob {
    const file = record.files[name];
    if (file === undefined) throw new TypeError(`the recipe gave no ${name}`);
    return {...file, path: this.cache.blobPath(file.sha256)};
  }
}

function openSource(name: SourceName, options: SourceOptions): ArtifactSource {
  switch (name) {
    case 'packages':
      return openPackagesSource(options);
    case 'release':
      return openReleaseSource();
    case 'bundle':
      return openBundleSource();
    default:
      return name satisfies never;
  }
}

function fileOf({component, files}: BuiltComponent, name: FileName): Blob {
  const file = files.find(candidate => candidate.name === name);
  if (file === undefined) throw new TypeError(`${component.name} gave no ${name}`);
  return file.blob;
}

/** Removes what a killed build left behind; younger work may be another process's. */
async function sweepWork(cacheDirectory: string): Promise<void> {
  const folder = join(cacheDirectory, 'work');
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name);
    const modifiedMs = (await stat(path).catch(() => undefined))?.mtimeMs ?? Date.now();
    if (Date.now() - modifiedMs > WORK_AGE_MS_MAX) await rm(path, {recursive: true, force: true});
  }
}
