import type {CallLimits} from '../cri/channel.ts';
import type {CommandContext} from './context.ts';

/** What is asked for is at hand; a daemon that needs longer is stuck. */
const QUERY_TIMEOUT_MS = 10_000;

/** Limits of a call that only asks. */
export function queryLimits({
  options,
  signal,
}: Pick<CommandContext, 'options' | 'signal'>): CallLimits {
  return {signal, timeoutMs: options.timeoutMs ?? QUERY_TIMEOUT_MS};
}

/** Limits of a call that works: as long as it takes, unless `--timeout` says otherwise. */
export function workLimits({
  options,
  signal,
}: Pick<CommandContext, 'options' | 'signal'>): CallLimits {
  return options.timeoutMs === undefined ? {signal} : {signal, timeoutMs: options.timeoutMs};
}
