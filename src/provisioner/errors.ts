import type {ErrorRegistry} from '#shared/errors';
import {yamlErrors} from '#shared/yaml';

/** Every failure that the provisioner reports, with its exit code; explained in docs/errors.md. */
export const provisionerErrors = {
  ...yamlErrors,

  // Configuration: found before anything is connected to.
  ERR_CONFIG_INVALID: 10,
  ERR_CONFIG_UNKNOWN_KEY: 10,
  ERR_CONFIG_KEY_MISSING: 10,
  ERR_CONFIG_KEY_RESERVED: 10,
  ERR_CONFIG_VALUE: 10,
  ERR_CONFIG_FILE_MISSING: 10,
  ERR_CONFIG_FILE_UNREADABLE: 10,
  ERR_CONFIG_KEY_PERMISSIONS: 10,
  ERR_CONFIG_TWO_INVENTORIES: 10,
  ERR_CONFIG_UNKNOWN_GROUP: 10,
  ERR_CONFIG_UNKNOWN_HOST: 10,
  ERR_CONFIG_GROUP_CYCLE: 10,
  ERR_CONFIG_HOSTS_TOO_MANY: 10,
  ERR_CONFIG_HOST_WITHOUT_ROLE: 10,
  ERR_CONFIG_NO_CONTROL_PLANE: 10,
  ERR_CONFIG_ETCD_UNSUPPORTED: 10,
  ERR_CONFIG_VERSION_UNSUPPORTED: 10,
  ERR_CONFIG_DUPLICATE_ADDRESS: 10,
  ERR_CONFIG_CIDR_OVERLAP: 10,
  ERR_CONFIG_CIDR_TOO_SMALL: 10,
  ERR_CONTROL_PLANES_UNSUPPORTED: 10,
} as const satisfies ErrorRegistry;

export type ProvisionerErrorCode = keyof typeof provisionerErrors;
