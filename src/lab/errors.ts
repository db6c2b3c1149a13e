import type {ErrorRegistry} from '#shared/errors';

/** Error codes of the lab with their exit codes; docs/errors.md describes each. */
export const labErrors = {
  ERR_USAGE: 2,
  ERR_LAB_NEEDS_ROOT: 13,
  ERR_LAB_NOT_LINUX: 13,
  ERR_LAB_TOOL_MISSING: 13,
  ERR_LAB_FILE_SYSTEM: 13,
  ERR_LAB_ADDRESS_IN_USE: 13,
  ERR_LAB_NO_PACKAGE_SOURCE: 14,
  ERR_LAB_BASE_FAILED: 14,
  ERR_LAB_NOT_UP: 12,
  ERR_LAB_HOST_UNKNOWN: 2,
  ERR_LAB_HOST_STOPPED: 12,
  ERR_LAB_HOST_PAUSED: 12,
  ERR_LAB_HOST_FAILED: 12,
  ERR_LAB_COMMAND_FAILED: 13,
  ERR_LAB_SITE_FAILED: 12,
  ERR_LAB_STUCK: 13,
  ERR_LAB_NOT_REMOVED: 13,
  ERR_LAB_OTHER_CHECKOUT: 21,
  ERR_LAB_BUSY: 21,
} as const satisfies ErrorRegistry;

export type LabErrorCode = keyof typeof labErrors;
