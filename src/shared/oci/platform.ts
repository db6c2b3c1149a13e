import {CodedError} from '../errors.ts';
import type {OciErrorCode} from './errors.ts';
import type {ImageIndex} from './manifest.ts';

/** Names as images use them (image-index.md, after Go's GOOS and GOARCH). */
export interface Platform {
  readonly os: 'linux';
  readonly architecture: string;
  /** Of the processor, newest first: those whose images run here. The empty one is the base line. */
  readonly variants: readonly string[];
}

type IndexEntry = ImageIndex['manifests'][number];

/** Node's names of processors, where images have other ones. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: '386',
  ppc64: 'ppc64le', // Node has no builds for the big-endian one
};
/** Newer variants of amd64 may have instructions that this processor lacks, so none is taken. */
const VARIANTS: Readonly<Record<string, readonly string[]>> = {
  amd64: ['', 'v1'],
  arm64: ['v8', ''],
  arm: ['v7', 'v6', 'v5', ''],
};

/** @param architecture as `process.arch` has it */
export function platformOf(architecture: string): Platform {
  const name = ARCHITECTURES[architecture] ?? architecture;
  return {os: 'linux', architecture: name, variants: VARIANTS[name] ?? ['']};
}

/**
 * The entry of an index for a platform: the best variant, the first of equals. An entry that says
 * nothing of its platform is taken where no other fits.
 *
 * @throws CodedError ERR_PLATFORM_NOT_FOUND
 */
export function chooseManifest({manifests}: ImageIndex, platform: Platform): IndexEntry {
  const {os, architecture, variants} = platform;
  const fitting = manifests.filter(
    entry => entry.platform?.os === os && entry.platform.architecture === architecture,
  );
  for (const variant of variants) {
    const found = fitting.find(entry => (entry.platform?.variant ?? '') === variant);
    if (found !== undefined) return found;
  }
  const unsaid = manifests.find(entry => entry.platform === undefined);
  if (unsaid !== undefined) return unsaid;
  const offered = new Set(manifests.map(entry => nameOf(entry)));
  throw new CodedError<OciErrorCode>(
    'ERR_PLATFORM_NOT_FOUND',
    `no image for ${os}/${architecture}, only for: ${[...offered].slice(0, 20).join(', ')}`,
    {hint: 'use an image that is built for this platform'},
  );
}

function nameOf({platform}: IndexEntry): string {
  const {os, architecture, variant} = platform ?? {os: 'unknown', architecture: 'unknown'};
  return [os, architecture, variant]
    .filter(part => part !== undefined)
    .join('/')
    .slice(0, 50);
}
