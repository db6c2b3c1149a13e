import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';

/** A request that no retry will make right. */
export function invalidRequest(message: string, hint: string): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_REQUEST_INVALID', message, {hint});
}

export function sandboxNotFound(id: string): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_SANDBOX_NOT_FOUND', `no sandbox ${JSON.stringify(id)}`, {
    hint: 'list pods: slipway-cri pods',
  });
}

export function sandboxNotReady(id: string): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_SANDBOX_NOT_READY', `sandbox ${id} is stopped`, {
    hint: 'start a new sandbox',
  });
}

export function containerNotFound(id: string): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_CONTAINER_NOT_FOUND', `no container ${JSON.stringify(id)}`, {
    hint: 'list containers, ended ones too: slipway-cri ps --all',
  });
}

export function containerState(
  id: string,
  {is, needs}: {readonly is: string; readonly needs: string},
): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_CONTAINER_STATE', `container ${id} is ${is}, not ${needs}`, {
    hint: 'see its state and how it ended: slipway-cri inspect',
  });
}
