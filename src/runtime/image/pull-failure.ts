import {CodedError, isCoded, messageOf} from '#shared/errors';
import {formatReference} from '#shared/oci/reference';
import type {Candidate} from './registries/candidates.ts';

export interface PullAttempt {
  readonly candidate: Candidate;
  readonly error: unknown;
}

/** What a registry did or sent; another one may do better. */
const OF_REGISTRY: readonly string[] = [
  'ERR_REGISTRY_UNREACHABLE',
  'ERR_REGISTRY_DENIED',
  'ERR_REGISTRY_REFUSED',
  'ERR_REGISTRY_ANSWER',
  'ERR_PULL_STALLED',
  'ERR_MANIFEST_NOT_FOUND',
  'ERR_MANIFEST_INVALID',
  'ERR_PLATFORM_NOT_FOUND',
  'ERR_IMAGE_INVALID',
  'ERR_LAYER_INVALID',
  'ERR_DIGEST_MISMATCH',
];

/** A kubelet shows a message that begins so as the reason why a pod waits (CRI v1, errors). */
const UNAVAILABLE_PREFIX = 'RegistryUnavailable: ';

export const pullFailure = {
  /** Whether it makes sense to ask the next registry. */
  isOfRegistry(error: unknown): boolean {
    return isCoded(error) && OF_REGISTRY.includes(error.code);
  },

  /** One failure for all registries that were asked; the last, the image's own, gives the code. */
  of(name: string, attempts: readonly PullAttempt[]): unknown {
    const last = attempts.at(-1)?.error;
    if (!isCoded(last)) return last;
    const {code, hint} = last;
    const isUnavailable = code === 'ERR_REGISTRY_UNREACHABLE';
    const message = attempts
      .map(({candidate, error}) => `${formatReference(candidate.reference)}: ${messageOf(error)}`)
      .join('; ');
    return new CodedError(
      code,
      `${isUnavailable ? UNAVAILABLE_PREFIX : ''}cannot pull ${name}: ${message}`,
      {hint, cause: last},
    );
  },
};
