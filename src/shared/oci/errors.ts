import type {ErrorRegistry} from '../errors.ts';

/** What can go wrong with references, manifests and registries (docs/errors.md). */
export const ociErrors = {
  ERR_IMAGE_REFERENCE_INVALID: 10,
  ERR_MANIFEST_INVALID: 14,
  ERR_MANIFEST_NOT_FOUND: 14,
  ERR_PLATFORM_NOT_FOUND: 14,
  ERR_PULL_STALLED: 14,
  ERR_REGISTRY_URL_INVALID: 10,
  ERR_REGISTRY_UNREACHABLE: 14,
  ERR_REGISTRY_DENIED: 14,
  ERR_REGISTRY_REFUSED: 14,
  ERR_REGISTRY_ANSWER: 14,
} as const satisfies ErrorRegistry;

export type OciErrorCode = keyof typeof ociErrors;
