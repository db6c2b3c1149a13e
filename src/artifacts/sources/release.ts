import {CodedError} from '#shared/errors';
import type {ArtifactsErrorCode} from '../errors.ts';

/** The upstream projects' published files with their checksums: not offered by this version. */
export function openReleaseSource(): never {
  throw new CodedError<ArtifactsErrorCode>(
    'ERR_ARTIFACT_SOURCE_UNAVAILABLE',
    'artifacts.source is "release", which this version of slipway cannot fetch from yet',
    {hint: 'set artifacts.source to "packages": the same versions, compiled from Go modules'},
  );
}
