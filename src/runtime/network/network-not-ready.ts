import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';

/**
 * The network cannot carry a pod yet. By these words, whatever the status of the call is, a kubelet
 * knows that it is only late, and tries again after 1 s instead of 10 (pkg/kubelet/pod_workers.go,
 * completeWork, v1.36).
 */
export function networkNotReady(
  problem: string,
  options: {readonly hint: string; readonly cause?: unknown},
): CodedError<RuntimeErrorCode> {
  return new CodedError(
    'ERR_NETWORK_NOT_READY',
    `the pod network is not ready: ${problem}`,
    options,
  );
}
