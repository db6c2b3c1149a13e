import {quote} from '#shared/quote';
import type {TaskContext} from '../engine/graph.ts';
import {runScript} from './run-script.ts';
import type {HostSession} from './session.ts';

/** Every program that the daemon is made of or starts, in an order that names the culprit first. */
const PROGRAMS: readonly (readonly string[])[] = [
  ['/opt/slipway/bin/node', '--version'],
  ['/usr/local/bin/slipway-cri', '--version'],
  ['/opt/slipway/bin/conmon', '--version'],
  ['/opt/slipway/bin/catatonit', '-V'],
  ['/opt/slipway/bin/slipway-exec', '--version'],
  ['/opt/slipway/bin/crun', '--version'],
  ['/usr/local/bin/runc', '--version'],
];

const SMOKE_TIMEOUT_MS = 3 * 60_000;

/**
 * Runs everything that was shipped once, before anything depends on it: a missing library or an old
 * kernel shows here, by name, and not as a unit that does not start.
 *
 * @throws CodedError ERR_RUNTIME_PROGRAM_UNUSABLE and those of the connection
 */
export async function checkPrograms({host, connection}: HostSession): Promise<number> {
  await runScript(connection, programsScript(), {
    failure: {
      code: 'ERR_RUNTIME_PROGRAM_UNUSABLE',
      tried: 'run what the container runtime needs',
      hint: `install on ${host.name} what it asks for, then run the same command again`,
    },
  });
  return 0;
}

function programsScript(): string {
  return [
    'check() { said=$("$@" </dev/null 2>&1) || { echo "$1: exit code $?: $said" >&2; exit 1; }; }',
    ...PROGRAMS.map(command => `check ${quote(command)}`),
  ].join('\n');
}

/**
 * Proves the daemon with a pod of its own, in the host's network: version, status, sandbox,
 * container, exec, log; then the daemon is restarted, and finds them all again.
 *
 * @throws CodedError ERR_RUNTIME_SMOKE_FAILED and those of the connection
 */
export async function smokeTest(
  {host, connection}: HostSession,
  {image}: {readonly image: string},
  {progress}: TaskContext,
): Promise<number> {
  progress('starting a pod, restarting the daemon');
  await runScript(connection, smokeScript(image), {
    timeoutMs: SMOKE_TIMEOUT_MS,
    failure: {
      code: 'ERR_RUNTIME_SMOKE_FAILED',
      tried: 'run a pod on the container runtime',
      hint: `read "journalctl -u slipway-cri.service" on ${host.name}, then run the same command again`,
    },
  });
  return 1; // the plan has it as a line
}

function smokeScript(image: string): string {
  return `
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
{ slipway-cri smoke start --image ${quote([image])} && systemctl restart slipway-cri.service && slipway-cri smoke finish --image ${quote([image])}; } </dev/null >&2 && exit 0
slipway-cri reset </dev/null >/dev/null 2>&1
exit 1`.trim();
}
