import {closeSync, readFileSync, rmSync, writeSync} from 'node:fs';
import {rm, stat} from 'node:fs/promises';
import {Socket} from 'node:net';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {CodedError, isCoded, isErrno, messageOf} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import type {OciRuntime} from '../oci/oci-runtime.ts';
import {runtimeEnvironment} from '../oci/runtime-environment.ts';
import {openPipe} from '../process/pipe.ts';
import {type ChildProcess, spawnProcess} from '../process/spawn.ts';
import {killProcess, processStartTime} from '../sys/processes.ts';
import {
  conmonCommand,
  type ConmonCommandInput,
  conmonFiles,
  START_DESCRIPTOR,
  SYNC_DESCRIPTOR,
} from './conmon-command.ts';
import {parseSyncReport, SYNC_BYTES_MAX, type SyncReport} from './sync-report.ts';

/** As CRI-O's default: hooks and slow disks may take minutes, a hang must end. */
const CREATE_TIMEOUT_MS = 240_000;
const STDERR_BYTES_MAX = 64 * 1024;
const STREAM_END_MS = 1_000;
/** conmon forks as soon as it may begin; this is for one that is broken. */
const FORK_TIMEOUT_MS = 2_000;

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
  const {bundle, timeoutMs = CREATE_TIMEOUT_MS, signal} = input;
  signal.throwIfAborted();
  removeMeetingPoints(bundle); // a pid file of an earlier attempt would mislead
  const late = AbortSignal.timeout(timeoutMs);
  try {
    const {pid, monitorPid} = await runConmon(input, AbortSignal.any([signal, late]));
    return {
      pid,
      pidStartTime: startTimeOf(pid, 'the container’s process'),
      conmonPid: monitorPid,
      conmonStartTime: startTimeOf(monitorPid, 'conmon'),
    };
  } catch (error) {
    await removeRemains(input);
    if (isCoded(error)) throw error;
    signal.throwIfAborted();
    if (late.aborted) throw timedOut(bundle, timeoutMs);
    throw conmonFailed(messageOf(error), error);
  }
}

interface Started {
  readonly pid: number;
  readonly monitorPid: number;
}

async function runConmon(input: CreateContainerInput, signal: AbortSignal): Promise<Started> {
  const {child, sync, errors, start} = spawnConmon(input);
  const reported = readReport(sync);
  const complaint = readTail(errors);
  try {
    try {
      await untilAborted(signal, Promise.resolve(input.placeMonitor?.(child.pid)));
      writeSync(start, '\0');
    } catch (error) {
      // conmon has ended already, and says why on its error stream.
      if (!isErrno(error, 'EPIPE') && !isErrno(error, 'ESRCH')) throw error;
    } finally {
      closeSync(start); // without its byte conmon reads an end, and gives up
    }
    const report = await untilAborted(signal, reported);
    await child.exited; // conmon has forked, and written the pid of what goes on
    if (report?.kind !== 'created') throw createFailed(report, await complaint());
    return {pid: report.pid, monitorPid: readPid(join(input.bundle, conmonFiles.monitorPid))};
  } catch (error) {
    // Killed before it has written that pid, it would leave a monitor that nobody knows.
    await Promise.race([child.exited, sleep(FORK_TIMEOUT_MS)]);
    child.killGroup('SIGKILL');
    throw error;
  } finally {
    sync.destroy();
    errors.destroy();
  }
}

interface Conmon {
  readonly child: ChildProcess;
  readonly sync: Socket;
  readonly errors: Socket;
  /** Takes one byte when conmon may begin. */
  readonly start: number;
}

function spawnConmon(input: CreateContainerInput): Conmon {
  const [sync, start, errors] = [openPipe(), openPipe(), openPipe()];
  try {
    const child = spawnProcess({
      command: conmonCommand(input),
      cwd: input.bundle,
      environment: {
        ...runtimeEnvironment(),
        _OCI_SYNCPIPE: String(SYNC_DESCRIPTOR),
        _OCI_STARTPIPE: String(START_DESCRIPTOR),
      },
      fileDescriptors: {
        2: errors.write,
        [SYNC_DESCRIPTOR]: sync.write,
        [START_DESCRIPTOR]: start.read,
      },
      newProcessGroup: true,
    });
    const reader = (fd: number): Socket => new Socket({fd, readable: true, writable: false});
    return {child, sync: reader(sync.read), errors: reader(errors.read), start: start.write};
  } catch (cause) {
    for (const fd of [sync.read, start.write, errors.read]) closeSync(fd);
    throw conmonFailed(`${input.conmonPath} cannot be started: ${messageOf(cause)}`, cause);
  } finally {
    for (const fd of [sync.write, start.read, errors.write]) closeSync(fd);
  }
}

/** Reads conmon's first line; never rejects, so that it may be awaited late. */
async function readReport(sync: Socket): Promise<SyncReport | undefined> {
  let text = '';
  sync.on('error', () => undefined); // a broken pipe ends like any other
  sync.setEncoding('utf8');
  try {
    for await (const chunk of sync) {
      text += String(chunk);
      if (text.includes('\n') || text.length > SYNC_BYTES_MAX) break;
    }
  } catch {
    // What came before counts; without a line the caller reports conmon's error stream.
  }
  return parseSyncReport(text);
}

/** Collects an error stream; the result may be asked for once the writer has ended. */
function readTail(stream: Socket): () => Promise<string> {
  let text = '';
  const ended = new Promise<void>(resolve => stream.once('close', resolve));
  stream.on('error', () => undefined);
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    text = (text + chunk).slice(-STDERR_BYTES_MAX);
  });
  return async () => {
    const timer = setTimeout(() => stream.destroy(), STREAM_END_MS);
    await ended;
    clearTimeout(timer);
    return text.trim();
  };
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

/** Undoes a creation that failed anywhere; each step is tried, none may hide the failure. */
async function removeRemains(input: CreateContainerInput): Promise<void> {
  const {runtime, id, bundle} = input;
  killMonitor(input); // first: a live conmon would report the end of what is deleted next
  await runtime.delete(id, {force: true}).catch(() => undefined); // the cause is being reported
  removeMeetingPoints(bundle);
  const exits = [join(input.persistDirectory, 'exit'), join(input.exitsDirectory, id)];
  await Promise.all([...exits.map(async path => rm(path, {force: true})), removeEmptyLog(input)]);
}

/** Kills conmon and the runtime below it; conmon leads a session of its own. */
function killMonitor({id, bundle}: CreateContainerInput): void {
  try {
    const pid = readPid(join(bundle, conmonFiles.monitorPid));
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    if (words.includes(id)) killProcess(-pid, 'SIGKILL');
  } catch {
    // No pid file or no such process: nothing to kill.
  }
}

/** conmon makes the log before the container, which has written nothing if it never began. */
async function removeEmptyLog({logPath}: CreateContainerInput): Promise<void> {
  const log = await stat(logPath).catch(() => undefined);
  if (log?.isFile() === true && log.size === 0) await rm(logPath, {force: true});
}

/** Synchronous: the bundle is on tmpfs. */
function removeMeetingPoints(bundle: string): void {
  for (const file of Object.values(conmonFiles)) rmSync(join(bundle, file), {force: true});
}

function startTimeOf(pid: number, name: string): string {
  const startTime = processStartTime(pid);
  if (startTime === undefined) throw conmonFailed(`${name} (pid ${pid}) ended at once`);
  return startTime;
}

function readPid(path: string): number {
  const text = readFileSync(path, 'utf8').trim();
  if (!/^[1-9][0-9]{0,9}$/.test(text)) {
    throw conmonFailed(`${path} should hold a pid, and holds ${JSON.stringify(text.slice(0, 40))}`);
  }
  return Number(text);
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

function conmonFailed(what: string, cause?: unknown): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_CONMON_FAILED', `the container was not created: ${what}`, {
    hint: 'run the configured conmon with --version, and look into the kernel’s log',
    cause,
  });
}

function timedOut(bundle: string, timeoutMs: number): CodedError<RuntimeErrorCode> {
  return new CodedError(
    'ERR_COMMAND_TIMED_OUT',
    `the container of ${bundle} was not created within ${timeoutMs} ms`,
    {hint: 'look for what the OCI runtime waits for: a hook, a mount, a full disk'},
  );
}
