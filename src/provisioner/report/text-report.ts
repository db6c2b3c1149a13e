import type {HostOutcome, PlannedHost, RunEvent} from '../engine/events.ts';
import {formatTable} from '#shared/table';

const INDENT = '      ';

/** One event as lines for a person; undefined for what only machines want to know. */
export function formatEvent(event: RunEvent, secondsSinceStart: number): string | undefined {
  const at = secondsSinceStart.toFixed(1).padStart(6);
  switch (event.type) {
    case 'run-started':
      return `${event.action} ${event.cluster}: ${event.hosts.join(', ')} (run ${event.run})`;
    case 'plan':
      return formatPlan(event.hosts);
    case 'task-finished': {
      const changes = event.changes === 0 ? '' : `, ${plural(event.changes, 'change')}`;
      return `${at} ${label(event)} done in ${event.seconds.toFixed(1)} s${changes}`;
    }
    case 'task-failed':
      return `${at} ${label(event)} FAILED ${event.code}\n${formatFailure(event)}`;
    case 'task-skipped':
      return `${at} ${label(event)} skipped: ${event.reason}`;
    case 'message':
      return event.text;
    case 'task-started':
    case 'task-progress':
    case 'run-finished':
      return undefined;
    default:
      return event satisfies never;
  }
}

const label = ({phase, host = 'cluster'}: {readonly phase: string; readonly host?: string}) =>
  `${host} ${phase}`;

export const plural = (count: number, noun: string): string =>
  `${count} ${noun}${count === 1 ? '' : 's'}`;

/** Message and next step of a failure, indented. */
export function formatFailure({message, hint}: {readonly message: string; readonly hint: string}) {
  const lines = [...message.split('\n'), `next: ${hint}`];
  return lines.map(line => `${INDENT}${line}`).join('\n');
}

const SIGNS = {create: '+', update: '~', remove: '-', restart: '!', run: '>', record: '='} as const;

/** What a run would do, by host; diffs are indented below their line. */
export function formatPlan(hosts: readonly PlannedHost[]): string {
  const total = hosts.reduce((sum, {changes}) => sum + changes.length, 0);
  if (total === 0) return 'plan: 0 changes';
  const lines = hosts.flatMap(({host, changes}) => [
    `${host}:`,
    ...changes.flatMap(({action, id, summary, diff}) => {
      const sign = SIGNS[action as keyof typeof SIGNS];
      const shown = diff === undefined ? [] : diff.split('\n').map(line => `${INDENT}${line}`);
      return [`  ${sign} ${id}: ${summary}`, ...shown];
    }),
  ]);
  return [...lines, `plan: ${plural(total, 'change')}`].join('\n');
}

/** How every host ended. */
export function formatOutcomes(hosts: readonly HostOutcome[]): string {
  const rows = hosts.map(({host, state, changes, phase = '', code = ''}) => [
    host,
    state.replace('-', ' '),
    String(changes),
    phase,
    code,
  ]);
  return formatTable(['HOST', 'STATE', 'CHANGES', 'STOPPED AT', 'ERROR'], rows);
}
