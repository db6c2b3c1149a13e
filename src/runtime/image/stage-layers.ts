import type {Digest} from '#shared/oci/digest';
import type {Platform} from '#shared/oci/platform';
import type {Log} from '#shared/log';
import {parseImageConfig} from './image-config.ts';
import {imageInvalid} from './image-manifest.ts';
import type {ImagePull, OpenLayer} from './image-store.ts';
import {layerIdsOf} from './layer-id.ts';

/** A layer as its manifest describes it, and where its bytes are. */
export interface LayerSource {
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly mediaType: string;
  readonly open: OpenLayer;
}

export interface StageLayersOptions {
  readonly pull: ImagePull;
  /** The image, for messages. */
  readonly subject: string;
  /** Lowest first. */
  readonly layers: readonly LayerSource[];
  readonly configBytes: Uint8Array;
  readonly platform: Platform;
  readonly log: Log;
}

/**
 * Stages all layers of an image, as many at once as the store allows. The first failure ends the
 * others; when this settles, none of them is under way.
 *
 * @returns how many were here already
 * @throws CodedError ERR_IMAGE_INVALID when configuration and layers do not fit, and what
 *   `ImagePull.stageLayer` throws; the signal's reason
 */
export async function stageLayers(
  {pull, subject, layers, configBytes, platform, log}: StageLayersOptions,
  signal: AbortSignal,
): Promise<{readonly reusedCount: number}> {
  const {config, diffIds} = parseImageConfig(configBytes);
  if (diffIds.length !== layers.length) {
    throw imageInvalid(subject, `it has ${layers.length} layers and ${diffIds.length} diff IDs`);
  }
  if (config.os !== '' && config.os !== platform.os) {
    throw imageInvalid(subject, `it is for ${JSON.stringify(config.os.slice(0, 50))}`);
  }
  if (config.architecture !== '' && config.architecture !== platform.architecture) {
    // Builders often leave a wrong one here; what an index says was heeded.
    log.warn('image says another architecture', {image: subject, said: config.architecture});
  }
  const ids = layerIdsOf(diffIds);
  const failed = new AbortController();
  const together = AbortSignal.any([signal, failed.signal]);
  const staging = layers.map(async ({open, ...layer}, index) => {
    const [diffId, id] = [diffIds[index], ids[index]];
    if (diffId === undefined || id === undefined) throw new TypeError('layers were counted');
    try {
      return await pull.stageLayer({...layer, diffId, id}, open, together);
    } catch (error) {
      failed.abort(error); // aborting again changes nothing: the first reason stays
      throw error;
    }
  });
  const results = await Promise.allSettled(staging);
  if (failed.signal.aborted) throw failed.signal.reason;
  const reused = results.filter(result => result.status === 'fulfilled' && result.value.reused);
  return {reusedCount: reused.length};
}
