import type {ErrorRegistry} from '#shared/errors';

/** Every error code of artifacts, cache, lock file and images, with its exit code (docs/errors.md). */
export const artifactsErrors = {
  ERR_ARTIFACT_SOURCE_UNAVAILABLE: 14,
  ERR_ARTIFACT_VERSION_UNKNOWN: 14,
  ERR_ARTIFACT_ARCH_UNAVAILABLE: 14,
  ERR_ARTIFACT_CHECKSUM: 14,
  ERR_ARTIFACT_CACHE: 14,
  ERR_ARTIFACT_DISK_FULL: 14,
  ERR_COMPILER_MISSING: 14,
  ERR_PACKAGES_MISSING: 14,
  ERR_MODULE_UNAVAILABLE: 14,
  ERR_BUILD_FAILED: 14,
  ERR_LOCK_INVALID: 10,
  ERR_LOCK_SOURCE: 14,
  ERR_LOCK_VERSION: 14,
} as const satisfies ErrorRegistry;

export type ArtifactsErrorCode = keyof typeof artifactsErrors;
