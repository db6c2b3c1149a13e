import {z} from 'zod';
import {CodedError, messageOf} from '../errors.ts';
import {type Digest, isDigest} from './digest.ts';
import type {OciErrorCode} from './errors.ts';

/** Media types that we write, and those that we read as the same thing. */
export const mediaTypes = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
  layerGzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  layerZstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerManifestList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
  dockerLayer: 'application/vnd.docker.image.rootfs.diff.tar',
  dockerLayerGzip: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  dockerLayerZstd: 'application/vnd.docker.image.rootfs.diff.tar.zstd',
} as const;

/** Registries accept no larger manifest (distribution specification, "Pushing Manifests"). */
export const MANIFEST_BYTES_MAX = 4 * 1024 * 1024;
const LAYERS_MAX = 512; // overlayfs and every runtime give up earlier
const INDEX_ENTRIES_MAX = 1_000;

const digestSchema = z.string().refine((text): text is Digest => isDigest(text), 'not a digest');
const descriptorSchema = z.object({
  mediaType: z.string(),
  digest: digestSchema,
  size: z.int().nonnegative(),
  annotations: z.record(z.string(), z.string()).optional(),
});
const manifestSchema = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.enum([mediaTypes.manifest, mediaTypes.dockerManifest]),
  config: descriptorSchema,
  layers: z.array(descriptorSchema).max(LAYERS_MAX),
});
const platformSchema = z.object({
  architecture: z.string(),
  os: z.string(),
  variant: z.string().optional(),
});
const indexSchema = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.enum([mediaTypes.index, mediaTypes.dockerManifestList]),
  manifests: z
    .array(descriptorSchema.extend({platform: platformSchema.optional()}))
    .max(INDEX_ENTRIES_MAX),
});

/** Names content of any kind by type, digest and size (OCI image specification, descriptor.md). */
export type Descriptor = Readonly<z.infer<typeof descriptorSchema>>;
/** One image for one platform (manifest.md). */
export type ImageManifest = Readonly<z.infer<typeof manifestSchema>>;
/** Images for several platforms (image-index.md). */
export type ImageIndex = Readonly<z.infer<typeof indexSchema>>;

/** The part of an image's configuration that we write (config.md). */
export interface ImageConfig {
  readonly architecture: string;
  readonly os: 'linux';
  readonly created: string;
  readonly config: {
    readonly Env: readonly string[];
    readonly User?: string;
    readonly Entrypoint?: readonly string[];
    readonly Cmd?: readonly string[];
    readonly WorkingDir?: string;
  };
  readonly rootfs: {readonly type: 'layers'; readonly diff_ids: readonly Digest[]};
}

/**
 * Reads a manifest or an index. A text without `mediaType` is read as the type that the registry
 * announced for it.
 *
 * @throws CodedError ERR_MANIFEST_INVALID
 */
export function parseManifest(text: string, announcedType: string): ImageManifest | ImageIndex {
  if (text.length > MANIFEST_BYTES_MAX) throw invalid(`${text.length} characters long`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalid(messageOf(error));
  }
  const withType = {mediaType: announcedType, ...(value as object | null)};
  const parsed = z.union([manifestSchema, indexSchema]).safeParse(withType);
  if (parsed.success) return parsed.data;
  throw invalid(z.prettifyError(parsed.error));
}

function invalid(reason: string): CodedError<OciErrorCode> {
  return new CodedError('ERR_MANIFEST_INVALID', `not an image manifest or index: ${reason}`, {
    hint: 'push the image again; schema 1 manifests of Docker before 1.10 are not supported',
  });
}
