import {CodedError, isCoded} from '#shared/errors';
import type {HostOutcome} from '../engine/events.ts';
import type {TaskKey, TaskResult} from '../engine/graph.ts';
import type {ProvisionerErrorCode} from '../errors.ts';
import {throwProblems} from '../problems-error.ts';
import type {ProofResult} from '../proof/proof-result.ts';

/** How a run ended for every host, and what went wrong. */
export interface Outcome {
  readonly changes: number;
  readonly hosts: readonly HostOutcome[];
  /** Absent when the run did not get as far. */
  readonly proof?: ProofResult;
  readonly errors: readonly unknown[];
  /** Whether something failed that no host stands for: the cluster itself, its proof. */
  readonly isClusterAffected?: boolean;
}

/** Reads the results of a graph: a host is done when every task on it is. */
export function outcomeOf(
  hosts: readonly string[],
  results: ReadonlyMap<TaskKey, TaskResult>,
): Outcome {
  const all = [...results.values()];
  return {
    changes: sumChanges(all),
    isClusterAffected: [...results].some(
      ([key, {kind}]) => kind === 'failed' && !key.includes('@'),
    ),
    errors: all.flatMap(result => (result.kind === 'failed' ? [result.error] : [])),
    hosts: hosts.map(host =>
      hostOutcome(
        host,
        [...results].filter(([key]) => key.endsWith(`@${host}`)),
      ),
    ),
  };
}

const sumChanges = (results: readonly TaskResult[]): number =>
  results.reduce((sum, result) => sum + (result.kind === 'done' ? result.changes : 0), 0);

function hostOutcome(host: string, own: readonly [TaskKey, TaskResult][]): HostOutcome {
  const changes = sumChanges(own.map(([, result]) => result));
  const phaseOf = (key: TaskKey) => key.slice(0, key.indexOf('@'));
  for (const [key, result] of own) {
    if (result.kind !== 'failed') continue;
    const code = isCoded(result.error) ? result.error.code : 'ERR_DEFECT';
    return {host, state: 'failed', changes, phase: phaseOf(key), code};
  }
  const skipped = own.find(([, result]) => result.kind === 'skipped');
  if (skipped === undefined && own.length > 0) return {host, state: 'done', changes};
  const phase = skipped === undefined ? {} : {phase: phaseOf(skipped[0])};
  return {host, state: 'not-finished', changes, ...phase};
}

/**
 * Throws what a run should end with: one host's failure; ERR_HOSTS_FAILED when some hosts are done,
 * others failed and the cluster is sound; or the interruption.
 */
export function throwOutcome(
  {errors, hosts, isClusterAffected = false}: Outcome,
  {signal}: {readonly signal: AbortSignal},
): void {
  const done = hosts.filter(({state}) => state === 'done').length;
  const failed = hosts.filter(({state}) => state === 'failed');
  if (done > 0 && failed.length > 0 && !isClusterAffected && errors.every(isCoded)) {
    const list = failed.map(({host, code = ''}) => `${host} (${code})`).join(', ');
    throw new CodedError<ProvisionerErrorCode>(
      'ERR_HOSTS_FAILED',
      `${failed.length} of ${hosts.length} hosts failed: ${list}`,
      {hint: 'the errors above say why; then run the same command again', cause: errors[0]},
    );
  }
  throwProblems(errors);
  if (signal.aborted) throw interrupted();
}

/** The end of a run that was stopped by Ctrl-C. */
export const interrupted = (): CodedError<ProvisionerErrorCode> =>
  new CodedError('ERR_INTERRUPTED', 'interrupted: what had begun was finished', {
    hint: 'run the same command again to finish',
  });
