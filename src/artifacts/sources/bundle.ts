import {CodedError} from '#shared/errors';
import type {ArtifactsErrorCode} from '../errors.ts';

/** A directory or server made by `provision bundle create`: not offered by this version. */
export function openBundleSource(): never {
  throw new CodedError<ArtifactsErrorCode>(
    'ERR_ARTIFACT_SOURCE_UNAVAILABLE',
    'artifacts.source is "bundle", which this version of slipway cannot read yet',
    {hint: 'set artifacts.source to "packages": the same versions, compiled from Go modules'},
  );
}
