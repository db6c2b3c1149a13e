import type {ErrorRegistry} from '#shared/errors';

/** gRPC statuses that the daemon answers with (grpc.io, "Status codes"). */
export type GrpcStatus =
  | 'INVALID_ARGUMENT'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'PERMISSION_DENIED'
  | 'UNAUTHENTICATED'
  | 'RESOURCE_EXHAUSTED'
  | 'FAILED_PRECONDITION'
  | 'DEADLINE_EXCEEDED'
  | 'CANCELLED'
  | 'UNIMPLEMENTED'
  | 'UNAVAILABLE'
  | 'INTERNAL'
  | 'UNKNOWN';

/** Every failure of the daemon that is not a defect of ours, with the status that a caller sees. */
export const runtimeErrors = {
  ERR_REQUEST_INVALID: 'INVALID_ARGUMENT',
  ERR_REQUEST_CANCELLED: 'CANCELLED',
  ERR_DEADLINE_EXCEEDED: 'DEADLINE_EXCEEDED',
  ERR_NOT_IMPLEMENTED: 'UNIMPLEMENTED',
  ERR_SANDBOX_NOT_FOUND: 'NOT_FOUND',
  ERR_SANDBOX_NOT_READY: 'FAILED_PRECONDITION',
  ERR_CONTAINER_NOT_FOUND: 'NOT_FOUND',
  ERR_CONTAINER_STATE: 'FAILED_PRECONDITION',
  ERR_NAME_RESERVED: 'ALREADY_EXISTS',
  ERR_QUEUE_FULL: 'RESOURCE_EXHAUSTED',
  ERR_SUBSCRIBER_TOO_SLOW: 'RESOURCE_EXHAUSTED',
  ERR_RUNTIME_HANDLER_UNKNOWN: 'INVALID_ARGUMENT',
  ERR_COMMAND_TIMED_OUT: 'DEADLINE_EXCEEDED',
  ERR_OCI_RUNTIME_FAILED: 'UNKNOWN',
  ERR_CONMON_FAILED: 'UNKNOWN',
  ERR_NETWORK_NOT_READY: 'UNAVAILABLE',
  ERR_NETWORK_PLUGIN_FAILED: 'UNKNOWN',
  ERR_IMAGE_NOT_FOUND: 'NOT_FOUND',
  ERR_IMAGE_INVALID: 'INVALID_ARGUMENT',
  ERR_LAYER_INVALID: 'UNKNOWN',
  ERR_DIGEST_MISMATCH: 'UNKNOWN',
  ERR_DISK_FULL: 'RESOURCE_EXHAUSTED',
  ERR_STATE_CORRUPT: 'INTERNAL',
} as const satisfies Readonly<Record<`ERR_${string}`, GrpcStatus>>;

export type RuntimeErrorCode = keyof typeof runtimeErrors;

/**
 * Failures of the program itself, before it serves or as its own client, with exit codes
 * (docs/errors.md).
 */
export const commandErrors = {
  ERR_USAGE: 2,
  ERR_CONFIG_INVALID: 10,
  ERR_CONFIG_UNREADABLE: 10,
  ERR_SOCKET_PATH: 10,
  ERR_NOT_ROOT: 13,
  ERR_TOOL_MISSING: 13,
  ERR_SOCKET_IN_USE: 21,
  ERR_DAEMON_UNREACHABLE: 12,
  ERR_CALL_FAILED: 15,
} as const satisfies ErrorRegistry;

export type CommandErrorCode = keyof typeof commandErrors;
