import {formatTable} from '#shared/table';
import type {Credentials} from '#shared/oci/registry-login';
import type {Arch, ImageReferenceAndDigest} from './artifact.ts';
import type {Compression} from './images/layer.ts';
import {pushImages} from './images/push.ts';
import type {ArtifactProgress} from './progress.ts';
import type {SourceName} from './sources/source.ts';
import {type BuiltComponent, openArtifactStore} from './store.ts';

export interface ArtifactsCommand {
  readonly signal: AbortSignal;
  /** Receives text with its ends of line. */
  readonly write: (text: string) => void;
  /** Default `packages`, the one that this version can use. */
  readonly source?: SourceName;
  readonly arch?: Arch;
  readonly cacheDirectory?: string;
  readonly lockFilePath?: string;
}

export interface ImagesPushCommand extends ArtifactsCommand {
  readonly registryUrl: string;
  readonly references?: readonly string[];
  readonly compression?: Compression;
  readonly credentials?: Credentials;
}

/**
 * `provision artifacts`: makes everything into the cache, a line per step, and ends with a table
 * of what there is.
 *
 * @throws CodedError as `ArtifactStore.buildAll`
 */
export async function runArtifacts({write, ...options}: ArtifactsCommand): Promise<void> {
  const onProgress = (event: ArtifactProgress) => {
    write(`${formatProgress(event)}\n`);
  };
  const store = await openArtifactStore({source: 'packages', ...options, onProgress});
  const built = await store.buildAll();
  write(`\n${formatArtifacts(built)}\n${store.cache.directory}\n`);
}

/**
 * `provision images push`: assembles the images and puts them into a registry, making what the
 * cache lacks.
 *
 * @throws CodedError as `pushImages`
 */
export async function runImagesPush(
  command: ImagesPushCommand,
): Promise<readonly ImageReferenceAndDigest[]> {
  const {write, source = 'packages', registryUrl, references, compression, credentials} = command;
  const {signal, arch, cacheDirectory, lockFilePath} = command;
  const onProgress = (event: ArtifactProgress) => {
    write(`${formatProgress(event)}\n`);
  };
  const store = await openArtifactStore({
    source,
    signal,
    onProgress,
    ...(arch && {arch}),
    ...(cacheDirectory !== undefined && {cacheDirectory}),
    ...(lockFilePath !== undefined && {lockFilePath}),
  });
  const pushed = await pushImages({
    registryUrl,
    store,
    signal,
    onProgress,
    ...(references && {references}),
    ...(compression && {compression}),
    ...(credentials && {credentials}),
  });
  for (const {reference, digest} of pushed) write(`${reference}@${digest}\n`);
  return pushed;
}

const STATE_WORD: Readonly<Record<ArtifactProgress['state'], string>> = {
  cached: 'in the cache',
  waiting: 'waits',
  building: 'making',
  done: 'made',
  failed: 'FAILED',
};

/** One line for one event, e.g. `kubernetes: made (38.8 s)`. */
export function formatProgress({component, state, seconds, detail}: ArtifactProgress): string {
  const time = seconds > 0 ? ` (${seconds} s)` : '';
  const extra = detail === undefined ? '' : `, ${detail}`;
  return `${component}: ${STATE_WORD[state]}${extra}${time}`;
}

/** Name, version, size and what it took, one file a line. */
export function formatArtifacts(built: readonly BuiltComponent[]): string {
  const rows = built.flatMap(({component, files, seconds}) =>
    files.map(({name, blob}, index) => [
      name,
      component.version,
      `${(blob.sizeBytes / 1e6).toFixed(1)} MB`,
      index === 0 ? `${seconds} s` : '',
    ]),
  );
  return formatTable(['artifact', 'version', 'size', 'made in'], rows);
}
