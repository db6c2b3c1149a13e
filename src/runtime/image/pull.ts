import {createHash} from 'node:crypto';
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {type Platform, platformOf} from '#shared/oci/platform';
import {formatReference, type ImageReference} from '#shared/oci/reference';
import type {Log} from '#shared/log';
import {importImages} from './archive/import-images.ts';
import type {ArchiveSource} from './archive/spool-archive.ts';
import {fileCredentials, readAuthFile} from './auth/auth-file.ts';
import {type RequestAuth, requestCredentials} from './auth/request-auth.ts';
import type {ImageStore, StoredImage} from './image-store.ts';
import {type PullAttempt, pullFailure} from './pull-failure.ts';
import {pullImage} from './pull-image.ts';
import {SharedPulls} from './pull-share.ts';
import {type Candidate, candidatesFor} from './registries/candidates.ts';
import {RegistryConnections} from './registries/connections.ts';
import {loadRegistries} from './registries/load-registries.ts';
import type {RegistriesConf} from './registries/registries-conf.ts';
import {resolveName} from './registries/short-names.ts';

/** The part of the daemon's configuration that pulls need. */
export interface PullerConfig {
  /** Where images are kept; archives wait there while they are read. */
  readonly root: string;
  readonly registriesFile: string;
  readonly authFile: string;
  /** Default `/etc/containers/certs.d`. */
  readonly certsDirectory?: string;
  readonly imagePull: {readonly progressTimeoutSeconds: number};
}

export interface PullerOptions {
  readonly store: ImageStore;
  readonly config: PullerConfig;
  readonly log: Log;
  /** HTTP_PROXY, HTTPS_PROXY, NO_PROXY; default none. */
  readonly proxyEnvironment?: Readonly<Record<string, string | undefined>>;
  /** As `process.arch`; default this machine's. */
  readonly architecture?: string;
}

export interface PullOptions {
  readonly auth?: RequestAuth;
  /** Ends this caller's waiting; the pull itself ends when nobody waits for it any more. */
  readonly signal: AbortSignal;
}

export interface ImportOptions {
  /** Replaces the names in an archive that has one image. */
  readonly names?: readonly string[];
  readonly signal: AbortSignal;
}

export interface ImagePuller {
  /**
   * Pulls an image by name, from the first mirror or registry that gives it.
   *
   * @throws CodedError of the codes from ERR_IMAGE_REFERENCE_INVALID to ERR_DISK_FULL in errors.ts;
   *   where no registry could be reached the message begins with `RegistryUnavailable: `, which a
   *   kubelet shows as the pod's reason; the signal's reason
   */
  pull(reference: string, options: PullOptions): Promise<StoredImage>;

  /**
   * Takes the images of an archive: an OCI layout or what `docker save` writes, as tar, compressed
   * with gzip or zstd or not.
   *
   * @throws CodedError ERR_ARCHIVE_INVALID, and what the image store throws
   */
  importArchive(source: ArchiveSource, options: ImportOptions): Promise<readonly StoredImage[]>;

  /**
   * Reads registries.conf and certificates anew; pulls under way keep what they have.
   *
   * @throws CodedError ERR_REGISTRIES_CONF_INVALID; the old rules then stay
   */
  reload(): Promise<void>;

  /** Closes connections that are kept for the next pull. */
  close(): void;
}

const CERTS_DIRECTORY = '/etc/containers/certs.d';
const REQUEST_TIMEOUT_MS = 60_000;

/** Opens the puller; nothing is read before the first pull. */
export function openImagePuller(options: PullerOptions): ImagePuller {
  return new RegistryPuller(options);
}

class RegistryPuller implements ImagePuller {
  readonly #store: ImageStore;
  readonly #config: PullerConfig;
  readonly #log: Log;
  readonly #platform: Platform;
  readonly #stallTimeoutMs: number;
  readonly #connections: RegistryConnections;
  readonly #shared = new SharedPulls<StoredImage>();
  #registries: RegistriesConf | undefined;
  #swept: Promise<void> | undefined;

  constructor({store, config, log, architecture, proxyEnvironment = {}}: PullerOptions) {
    this.#store = store;
    this.#config = config;
    this.#log = log;
    this.#platform = platformOf(architecture ?? process.arch);
    this.#stallTimeoutMs = config.imagePull.progressTimeoutSeconds * 1000;
    this.#connections = new RegistryConnections({
      certsDirectory: config.certsDirectory ?? CERTS_DIRECTORY,
      proxyEnvironment,
      timeoutMs: REQUEST_TIMEOUT_MS,
      log,
    });
  }

  async pull(name: string, {auth, signal}: PullOptions): Promise<StoredImage> {
    // Another pod's credentials may read what these may not.
    const key = `${name} ${fingerprint(auth)}`;
    return await this.#shared.join(key, signal, working => this.#pull(name, auth, working));
  }

  async importArchive(
    source: ArchiveSource,
    {names = [], signal}: ImportOptions,
  ): Promise<readonly StoredImage[]> {
    const [store, platform, log] = [this.#store, this.#platform, this.#log];
    const directory = join(this.#config.root, 'import');
    // What a daemon that was killed has left there; the first import comes before any other.
    this.#swept ??= rm(directory, {recursive: true, force: true});
    await this.#swept;
    return await importImages(source, {store, platform, directory, names, log}, signal);
  }

  async reload(): Promise<void> {
    this.#registries = await loadRegistries(this.#config.registriesFile, this.#log);
    this.#connections.close();
  }

  close(): void {
    this.#connections.close();
  }

  async #pull(
    name: string,
    auth: RequestAuth | undefined,
    signal: AbortSignal,
  ): Promise<StoredImage> {
    const startedMs = performance.now();
    const conf = (this.#registries ??= await loadRegistries(
      this.#config.registriesFile,
      this.#log,
    ));
    const attempts: PullAttempt[] = [];
    for (const wanted of resolveName(name, conf)) {
      for (const candidate of candidatesFor(wanted, conf)) {
        try {
          const image = await this.#pullFrom(candidate, {wanted, auth}, signal);
          const tookMs = Math.round(performance.now() - startedMs);
          const from = formatReference(candidate.reference);
          this.#log.info('image pulled', {image: name, from, imageId: image.id, tookMs});
          return image;
        } catch (error) {
          signal.throwIfAborted();
          attempts.push({candidate, error});
          if (!pullFailure.isOfRegistry(error)) throw error;
        }
      }
    }
    throw pullFailure.of(name, attempts);
  }

  async #pullFrom(
    {reference: source, insecure, isMirror}: Candidate,
    {wanted, auth}: {readonly wanted: ImageReference; readonly auth: RequestAuth | undefined},
    signal: AbortSignal,
  ): Promise<StoredImage> {
    const credentials =
      (isMirror ? undefined : requestCredentials(auth, wanted.registry)) ??
      fileCredentials(await readAuthFile(this.#config.authFile), source);
    const endpoint = {registry: source.registry, insecure, credentials};
    const client = await this.#connections.open(endpoint, signal);
    const [store, platform, log] = [this.#store, this.#platform, this.#log];
    const stallTimeoutMs = this.#stallTimeoutMs;
    return await pullImage({client, source, wanted, store, platform, stallTimeoutMs, log}, signal);
  }
}

function fingerprint(auth: RequestAuth | undefined): string {
  const {username, password, auth: basic, serverAddress, identityToken, registryToken} = auth ?? {};
  const parts = [username, password, basic, serverAddress, identityToken, registryToken];
  const text = JSON.stringify(parts.map(part => part ?? ''));
  return createHash('sha256').update(text).digest('hex');
}
