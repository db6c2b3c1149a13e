import {join} from 'node:path';
import {CodedError, isCoded, isErrno, messageOf} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import type {OciRuntime} from '../oci/oci-runtime.ts';
import {processStartTime} from '../sys/processes.ts';
import {type ConmonCommandInput, conmonFiles} from './conmon-command.ts';
import {conmonFailed} from './conmon-failed.ts';
import {
  type Conmon,
  dismissConmon,
  endConmon,
  letBegin,
  readReport,
  readTail,
  spawnConmon,
} from './conmon-process.ts';
import {readPid, removeEmptyLog, removeMeetingPoints, removeRemains} from './remains.ts';
import type {SyncReport} from './sync-report.ts';

/** As CRI-O's default: hooks and slow disks may take minutes, a hang must end. */
const CREATE_TIMEOUT_MS = 240_000;

export interface CreateContainerInput extends ConmonCommandInput {
  readonly runtime: OciRuntime;
  /** Moves conmon out of the daemon's cgroup; conmon does nothing before this has ended. */
  readonly placeMonitor?: (pid: number) => void | Promise<void>;
  readonly timeoutMs?: number;
  readonly signal: AbortSignal;
}

/** The two processes of a container; a start time tells a process from a later one of its pid. */
export interface CreatedContainer {
  readonly pid: number;
  readonly pidStartTime: string;
  readonly conmonPid: number;
  readonly conmonStartTime: string;
}

/** A conmon that waits for its start byte. One of the two is to be called, once. */
export interface OpenedMonitor {
  /** As `createContainer`; config.json must be in the bundle by now. */
  readonly create: () => Promise<CreatedContainer>;
  /** Ends conmon; nothing is left behind. */
  readonly abandon: () => Promise<void>;
}

/**
 * Creates a container: conmon runs `<runtime> create` for the bundle and stays as its monitor.
 * The container's process exists afterwards and waits for `start`.
 *
 * A failure, a time-out and an abort leave nothing behind: no container at the runtime, no
 * conmon, and no empty log file.
 *
 * conmon takes over this process's umask (conmon before 2.1.8 sets none): `main` sets 022.
 * @throws CodedError ERR_OCI_RUNTIME_FAILED with the runtime's cause, ERR_CONMON_FAILED,
 *   ERR_COMMAND_TIMED_OUT; the signal's reason when aborted
 */
export async function createContainer(input: CreateContainerInput): Promise<CreatedContainer> {
  try {
    return await openMonitor(input).create();
  } catch (error) {
    if (!input.runtime.systemdCgroup || !isGroupTakenAway(error)) throw error;
    return await openMonitor(input).create();
  }
}

/**
 * On cgroup v1 systemd may remove a scope's group from a hierarchy between runc's joining it and
 * its settings there ("error setting cgroup config …: …/devices.list: no such file"). That passes:
 * the kubelet would try again too, but only after ten seconds.
 */
function isGroupTakenAway(error: unknown): boolean {
  return (
    isCoded(error) &&
    error.code === 'ERR_OCI_RUNTIME_FAILED' &&
    /\bcgroup config\b.*no such file or directory/.test(error.message)
  );
}

/**
 * Starts conmon and moves it to its cgroup, which takes the kernel 10 ms and more, while the
 * container's root and config.json are still being made. The bundle's folder and the log's must
 * be there.
 *
 * @throws as `createContainer`
 */
export function openMonitor(input: CreateContainerInput): OpenedMonitor {
  input.signal.throwIfAborted();
  removeMeetingPoints(input.bundle); // a pid file of an earlier attempt would mislead
  const conmon = spawnConmon(input);
  const placed = place(conmon, input);
  placed.catch(() => undefined); // reported by `create`, which may come later
  return {
    create: async () => await create(input, conmon, placed),
    abandon: async () => {
      dismissConmon(conmon);
      await endConmon(conmon);
      await placed.catch(() => undefined);
      await removeEmptyLog(input);
    },
  };
}

async function place({child}: Conmon, {placeMonitor}: CreateContainerInput): Promise<void> {
  await placeMonitor?.(child.pid);
}

async function create(
  input: CreateContainerInput,
  conmon: Conmon,
  placed: Promise<void>,
): Promise<CreatedContainer> {
  const {bundle, timeoutMs = CREATE_TIMEOUT_MS, signal} = input;
  const late = AbortSignal.timeout(timeoutMs);
  try {
    const pid = await runConmon(conmon, placed, AbortSignal.any([signal, late]));
    const conmonPid = readPid(join(bundle, conmonFiles.monitorPid));
    return {
      pid,
      pidStartTime: startTimeOf(pid, 'the container’s process'),
      conmonPid,
      conmonStartTime: startTimeOf(conmonPid, 'conmon'),
    };
  } catch (error) {
    await removeRemains(input);
    if (isCoded(error)) throw error;
    signal.throwIfAborted();
    if (late.aborted) throw timedOut(bundle, timeoutMs);
    throw conmonFailed(messageOf(error), error);
  }
}

/** @returns the pid of the container's process */
async function runConmon(
  conmon: Conmon,
  placed: Promise<void>,
  signal: AbortSignal,
): Promise<number> {
  const {child, sync, errors} = conmon;
  const reported = readReport(sync);
  const complaint = readTail(errors);
  try {
    try {
      await untilAborted(signal, placed);
      letBegin(conmon);
    } catch (error) {
      dismissConmon(conmon);
      // conmon has ended already, and says why on its error stream.
      if (!isErrno(error, 'ESRCH')) throw error;
    }
    const report = await untilAborted(signal, reported);
    await child.exited; // conmon has forked, and written the pid of what goes on
    if (report?.kind !== 'created') throw createFailed(report, await complaint());
    return report.pid;
  } finally {
    await endConmon(conmon);
  }
}

/** The promise's result, or the signal's reason as soon as it is aborted. */
async function untilAborted<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  const {promise: stopped, reject} = Promise.withResolvers<never>();
  const stop = (): void => {
    reject(signal.reason as Error);
  };
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, {once: true});
  try {
    return await Promise.race([promise, stopped]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function startTimeOf(pid: number, name: string): string {
  const startTime = processStartTime(pid);
  if (startTime === undefined) throw conmonFailed(`${name} (pid ${pid}) ended at once`);
  return startTime;
}

function createFailed(
  report: SyncReport | undefined,
  complaint: string,
): CodedError<RuntimeErrorCode> {
  if (report?.kind === 'failed' && report.message !== '') {
    return new CodedError('ERR_OCI_RUNTIME_FAILED', report.message, {
      hint: 'compare the container’s configuration with what the host and the runtime allow',
    });
  }
  return conmonFailed(complaint === '' ? 'conmon ended without a report' : complaint);
}

function timedOut(bundle: string, timeoutMs: number): CodedError<RuntimeErrorCode> {
  return new CodedError(
    'ERR_COMMAND_TIMED_OUT',
    `the container of ${bundle} was not created within ${timeoutMs} ms`,
    {hint: 'look for what the OCI runtime waits for: a hook, a mount, a full disk'},
  );
}
