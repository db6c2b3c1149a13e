import {isCoded, messageOf} from '#shared/errors';
import {RpcError} from '../cri/channel.ts';
import {commandErrors} from '../errors.ts';
import type {Output} from './output.ts';

export interface CallPlace {
  readonly socket: string;
  /** True when the user stopped the command. */
  readonly interrupted: boolean;
}

const EXIT_DEFECT = 1;
const EXIT_INTERRUPTED = 130;

/** Says what went wrong and what to do next, on standard error; the result is the exit code. */
export function reportFailure(error: unknown, {writeError}: Output, place?: CallPlace): number {
  if (place?.interrupted === true) return EXIT_INTERRUPTED;
  if (error instanceof RpcError) return reportCall(error, writeError, place?.socket ?? '');
  if (isCoded(error)) {
    const {code, message, hint} = error;
    writeError(`${code}: ${message}\n  next: ${hint}\n`);
    return Object.hasOwn(commandErrors, code)
      ? commandErrors[code as keyof typeof commandErrors]
      : commandErrors.ERR_CALL_FAILED;
  }
  const stack = error instanceof Error ? error.stack : undefined;
  writeError(`ERR_INTERNAL: ${stack ?? messageOf(error)}\n  next: report this as a defect\n`);
  return EXIT_DEFECT;
}

function reportCall(
  {code, reason, message, method}: RpcError,
  writeError: Output['writeError'],
  socket: string,
): number {
  if (code === 'UNAVAILABLE' && reason === undefined) {
    const why = /\bE[A-Z]{3,}\b/.exec(message)?.[0] ?? message;
    writeError(`ERR_DAEMON_UNREACHABLE: nothing answers on ${socket} (${why})\n`);
    writeError('  next: look at "systemctl status slipway-cri", or name another --socket\n');
    return commandErrors.ERR_DAEMON_UNREACHABLE;
  }
  const known = /^(ERR_[A-Z_]+: .*); next: (.*)$/s.exec(message);
  const [, what = `ERR_CALL_FAILED: ${method}: ${message} (${code})`, next] = known ?? [];
  writeError(`${what}\n  next: ${next ?? 'read the log: journalctl -u slipway-cri'}\n`);
  return commandErrors.ERR_CALL_FAILED;
}
