import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../../errors.ts';

/** The error for a file that is no archive of images. */
export function archiveInvalid(reason: string, cause?: unknown): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_ARCHIVE_INVALID', `not an archive of images: ${reason}`, {
    hint: 'make it with "docker save", or "skopeo copy … oci-archive:FILE"',
    cause,
  });
}
