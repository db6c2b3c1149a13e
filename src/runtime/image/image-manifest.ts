import {CodedError} from '#shared/errors';
import {type ImageManifest, mediaTypes} from '#shared/oci/manifest';
import type {RuntimeErrorCode} from '../errors.ts';
import {CONFIG_BYTES_MAX} from './image-config.ts';

/** More, compressed, is a mistake or an attack; the largest images of life have some 50 GB. */
const IMAGE_BYTES_MAX = 256 * 1024 ** 3;
const CONFIG_TYPES: readonly string[] = [mediaTypes.config, mediaTypes.dockerConfig];
const LAYER_TYPES: readonly string[] = [
  mediaTypes.layer,
  mediaTypes.layerGzip,
  mediaTypes.layerZstd,
  mediaTypes.dockerLayer,
  mediaTypes.dockerLayerGzip,
  mediaTypes.dockerLayerZstd,
];

/**
 * Refuses what can be no image for containers here: artifacts, foreign layers (whose bytes are
 * elsewhere), encrypted layers, absurd sizes.
 *
 * @param subject the image, for messages
 * @throws CodedError ERR_IMAGE_INVALID
 */
export function checkManifest(subject: string, {config, layers}: ImageManifest): void {
  if (!CONFIG_TYPES.includes(config.mediaType)) {
    throw imageInvalid(
      subject,
      `it is no image but an artifact of type ${shown(config.mediaType)}`,
    );
  }
  if (config.size > CONFIG_BYTES_MAX) {
    throw imageInvalid(subject, `its configuration has ${config.size} bytes`);
  }
  const foreign = layers.find(({mediaType}) => !LAYER_TYPES.includes(mediaType));
  if (foreign !== undefined) {
    throw imageInvalid(subject, `a layer has the type ${shown(foreign.mediaType)}`);
  }
  const sizeBytes = layers.reduce((sum, {size}) => sum + size, 0);
  if (sizeBytes > IMAGE_BYTES_MAX)
    throw imageInvalid(subject, `its layers have ${sizeBytes} bytes`);
}

/** The error for an image that no container can be made of. */
export function imageInvalid(subject: string, reason: string): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_IMAGE_INVALID', `${subject}: ${reason}`, {
    hint: 'use an image for Linux containers; where it is a broken one, build it anew',
  });
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}
