// One host's life, from the machine's side:
//
//   stopped ──start──▶ booting ──ssh and systemd──▶ running ◀──pause, resume──▶ paused
//      ▲                                               │
//      └─────── crash; poweroff inside ────────────────┘   (reboot: through booting again)
//
// supervisor.sh holds the host; what this file knows of it is init.pid, the control groups, and two
// marks in the host's folder (halted, cut).
import {existsSync} from 'node:fs';
import {readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {CodedError} from '#shared/errors';
import {run} from '#shared/local-process';
import {waitFor} from '#shared/wait-for';
import {type HostIdentity, SITE_ADDRESS} from '../addresses.ts';
import {groupProcesses, isFrozen, killGroup, removeGroup, waitUntilEmpty} from '../cgroups.ts';
import type {LabErrorCode} from '../errors.ts';
import type {LabFolders} from '../folders.ts';
import {quoteOutput, machineCommand} from '../machine-command.ts';
import {labNames} from '../names.ts';
import {removeHostNetwork} from '../network.ts';
import {answersSsh, sshArguments} from '../ssh.ts';
import {waitInTime} from '../wait-in-time.ts';

/** Scripts that run before a host has a root file system; they outlive this process. */
export const HOST_SCRIPTS = import.meta.dirname;

export type HostState = 'running' | 'paused' | 'stopped';

export interface HostHandle {
  readonly identity: HostIdentity;
  readonly folders: LabFolders;
}

const BOOT_TIMEOUT_MS = 60_000; // about 1 s on an idle machine; builds on both cores slow it tenfold
const STOP_TIMEOUT_MS = 10_000;
const REBOOT_TIMEOUT_MS = 120_000; // systemd gives a unit 90 s to stop
const POLL_INTERVAL_MS = 25;

/** Boots the host unless it is running; does not wait until it answers. */
export async function startHost(
  {identity, folders}: HostHandle,
  {base, signal}: {readonly base: string; readonly signal: AbortSignal},
): Promise<void> {
  if ((await groupProcesses(labNames.supervisorGroup(identity.name))).size > 0) return;
  const host = folders.host(identity.name);
  await rm(host.halted, {force: true});
  await rm(host.initPid, {force: true});
  // `setsid --fork`: a session of its own, and nothing that this process waits for.
  await machineCommand(['setsid', '--fork', join(HOST_SCRIPTS, 'supervisor.sh')], {
    signal,
    env: {
      LAB_HOST: identity.name,
      LAB_DIR: host.root,
      LAB_BASE: base,
      LAB_ADDRESS: identity.address,
      LAB_MAC: identity.mac,
      LAB_GATEWAY: SITE_ADDRESS,
      LAB_SCRIPTS: HOST_SCRIPTS,
    },
  });
}

/**
 * Waits until the host has booted: SSH answers, and systemd has started everything it starts.
 *
 * @throws CodedError `ERR_LAB_HOST_PAUSED`; `ERR_LAB_HOST_FAILED` when the boot ends or takes longer
 *   than a minute
 */
export async function waitUntilBooted(handle: HostHandle, signal: AbortSignal): Promise<void> {
  const {identity, folders} = handle;
  await refusePaused(identity.name);
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(BOOT_TIMEOUT_MS)]);
  try {
    await waitFor(async () => ((await answersSsh(identity.address, deadline)) ? true : undefined), {
      signal: deadline,
      timeoutMs: BOOT_TIMEOUT_MS,
      intervalMs: POLL_INTERVAL_MS,
    });
    await waitFor(
      async () => {
        const command = ['systemctl', 'is-system-running', '--wait'];
        const argv = sshArguments(folders, {address: identity.address, command});
        const {stdout} = await run(argv, {signal: deadline});
        return ['running', 'degraded'].includes(stdout.trim()) ? true : undefined;
      },
      {signal: deadline, timeoutMs: BOOT_TIMEOUT_MS},
    );
  } catch (cause) {
    signal.throwIfAborted();
    await refusePaused(identity.name);
    const {cut, supervisorLog} = folders.host(identity.name);
    throw bootFailure({
      name: identity.name,
      isCut: existsSync(cut),
      log: await readFile(supervisorLog, 'utf8').catch(() => ''),
      logFile: supervisorLog,
      cause,
    });
  }
}

/** What a boot means that did not come to its end; a cut cable is the nearest reason of all. */
export function bootFailure(given: {
  readonly name: string;
  readonly isCut: boolean;
  readonly log: string;
  readonly logFile: string;
  readonly cause?: unknown;
}): CodedError<LabErrorCode> {
  const {name, isCut, log, logFile, cause} = given;
  const late = `within ${BOOT_TIMEOUT_MS / 1000} s`;
  if (isCut) {
    const text = `${name} did not answer ${late}: its cable is cut`;
    const hint = `run "provision lab heal ${name}"`;
    return new CodedError('ERR_LAB_HOST_FAILED', text, {hint, cause});
  }
  return new CodedError(
    'ERR_LAB_HOST_FAILED',
    `${name} did not boot ${late}; its supervisor's log ends: ${quoteOutput(log)}`,
    {hint: `read ${logFile}; "provision lab down" and "up" start afresh`, cause},
  );
}

/** @throws CodedError `ERR_LAB_HOST_PAUSED`: what stands still neither answers nor reboots */
export async function refusePaused(name: string): Promise<void> {
  if ((await hostState(name)) !== 'paused') return;
  throw new CodedError<LabErrorCode>('ERR_LAB_HOST_PAUSED', `${name} is paused`, {
    hint: `run "provision lab resume ${name}" first`,
  });
}

/** Ends the host as a power cut does. Its disk stays. */
export async function crashHost(
  {identity, folders}: HostHandle,
  signal: AbortSignal,
): Promise<void> {
  const {name} = identity;
  const supervisor = labNames.supervisorGroup(name);
  await writeFile(folders.host(name).halted, '');
  await killGroup(name, signal);
  try {
    await waitUntilEmpty(supervisor, {signal, timeoutMs: STOP_TIMEOUT_MS});
  } catch {
    signal.throwIfAborted();
    await killGroup(supervisor, signal); // it hangs, or was stopped: what it would do is done below
  }
  await killGroup(name, signal); // a boot that was under way
  await removeHostNetwork(name, signal);
  await removeGroup(name, signal);
  await removeGroup(supervisor, signal);
}

/**
 * Reboots the host as its own `systemctl reboot` does, and waits until the new boot has begun.
 *
 * @throws CodedError `ERR_LAB_HOST_FAILED`
 */
export async function rebootHost(
  {identity, folders}: HostHandle,
  signal: AbortSignal,
): Promise<void> {
  const {initPid} = folders.host(identity.name);
  const before = await readInitPid(initPid);
  if (before === undefined) return;
  process.kill(before, 'SIGINT'); // systemd(1): SIGINT to process 1 starts ctrl-alt-del.target
  await waitInTime(
    async () => {
      const now = await readInitPid(initPid);
      return now !== undefined && now !== before ? true : undefined;
    },
    {
      signal,
      timeoutMs: REBOOT_TIMEOUT_MS,
      intervalMs: POLL_INTERVAL_MS,
      code: 'ERR_LAB_HOST_FAILED',
      message: `${identity.name} did not reboot`,
      hint: `run "provision lab crash ${identity.name}", then "provision lab start ${identity.name}"`,
    },
  );
}

export async function hostState(host: string): Promise<HostState> {
  if ((await groupProcesses(host)).size === 0) return 'stopped';
  return (await isFrozen(host)) ? 'paused' : 'running';
}

async function readInitPid(file: string): Promise<number | undefined> {
  const text = await readFile(file, 'utf8').catch(() => ''); // between two boots
  const pid = Number(text.trim());
  return Number.isInteger(pid) && pid > 1 ? pid : undefined;
}
