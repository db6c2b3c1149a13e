import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';

/** The failure of a layer whose content no runtime should unpack. */
export function layerInvalid(reason: string, cause?: unknown): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_LAYER_INVALID', `the layer's archive is not valid: ${reason}`, {
    hint: 'build and push the image again; the archive must be a tar file as the OCI image specification describes',
    cause,
  });
}
