import {randomBytes} from 'node:crypto';
import {closeSync, constants, openSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {CodedError, isErrno, messageOf} from '#shared/errors';
import {waitFor} from '#shared/wait-for';
import type {RuntimeErrorCode} from '../errors.ts';
import type {OciRuntime} from '../oci/oci-runtime.ts';
import {runtimeEnvironment} from '../oci/runtime-environment.ts';
import {hasRuntimeError, runtimeMessage} from '../oci/runtime-message.ts';
import {type ChildProcess, spawnProcess} from '../process/spawn.ts';
import {setTerminalSize, type TerminalSize} from '../sys/terminal.ts';
import type {DirectExec, ExecTarget} from './exec-target.ts';
import {execProcessSpec} from './process-spec.ts';
import {hangUp, killExec} from './process-tree.ts';

export interface StartExecOptions {
  readonly runtime: OciRuntime;
  readonly container: ExecTarget;
  readonly command: readonly string[];
  readonly terminal: boolean;
  /** What is known of the terminal's size when the process begins. */
  readonly size?: () => TerminalSize | undefined;
  /** Standard streams of the process → descriptors here, which are closed by `startExec`. */
  readonly fileDescriptors: Readonly<Record<number, number>>;
  /** Further descriptors of the process, 3 and up without a gap; they stay the caller's. */
  readonly preserved?: Readonly<Record<number, number>>;
  /** Starts the command without the runtime, where that is the same. */
  readonly direct?: DirectExec | undefined;
}

/** What runs the command, and the file that tells it how. */
interface Invocation {
  readonly command: readonly string[];
  readonly file: string | Uint8Array;
}

export interface RunningExec {
  /**
   * The process's exit code, 0–255, 128 + n for signal n. Resolves when the process has ended
   * and all that it wrote is in the pipes; later, when something that it started in the
   * background still has its output open.
   *
   * @throws CodedError ERR_OCI_RUNTIME_FAILED when the process could not be started
   */
  readonly exited: Promise<number>;
  /** Sets the size of the process's terminal; does nothing once it has ended. */
  readonly resize: (size: TerminalSize) => Promise<void>;
  /** Sends SIGHUP to the process and its process group; `kill` is for what survives it. */
  readonly hangUp: () => Promise<void>;
  /** Kills the process and what it has started; resolves when it is gone. */
  readonly kill: () => Promise<void>;
  /** Its pid, as soon as the runtime has written it down; undefined when it has ended before. */
  readonly pid: () => Promise<number | undefined>;
}

/** The runtime has this long to reap a killed process, or to begin one that can be killed. */
const KILL_TIMEOUT_MS = 2_000;
const KILL_LOOK_MS = 20;
/** The runtime needs about 20 ms to begin a process. */
const BEGIN_TIMEOUT_MS = 10_000;
const BEGIN_LOOK_MS = 10;

/**
 * Runs a command in a running container with `<runtime> exec` or with slipway-exec, in the
 * foreground: one process, whose exit code is the command's, with the pipes or the terminal of the
 * caller. Files are read and written synchronously: on tmpfs that takes a tenth of a trip through
 * the thread pool.
 */
export function startExec(options: StartExecOptions): RunningExec {
  const {runtime, container, fileDescriptors} = options;
  const files = execFiles(container.bundle);
  try {
    const config = readFileSync(join(container.bundle, 'config.json'), 'utf8');
    const child =
      startDirectly(config, files, options) ??
      spawnInvocation(runtimeInvocation(config, files, options), files, options);
    return {
      exited: exitOf(child, files, options).finally(() => {
        removeFiles(files);
      }),
      resize: async size => {
        await resize(child, files, size);
      },
      hangUp: async () => {
        await hangUp(child.pid, await readPid(files.pid));
      },
      kill: async () => {
        await kill(child, files);
      },
      pid: () => begunPid(child, files),
    };
  } catch (cause) {
    removeFiles(files);
    if (isErrno(cause, 'ENOENT') && !isRuntimeMissing(cause, runtime)) throw notRunning(container);
    throw execFailed(container, messageOf(cause), cause);
  } finally {
    for (const fd of new Set(Object.values(fileDescriptors))) closeSync(fd);
  }
}

/** Waits for the end of an exec, and kills what has not ended by then; resolves when it is gone. */
export async function killAfter({exited, kill}: RunningExec, timeoutMs: number): Promise<void> {
  const ended = new AbortController();
  const end = (): void => {
    ended.abort();
  };
  const gone = exited.then(end, end);
  await sleep(timeoutMs, undefined, {signal: ended.signal}).catch(() => undefined);
  if (!ended.signal.aborted) await kill();
  await gone;
}

function runtimeInvocation(
  config: string,
  files: ExecFiles,
  {runtime, container, preserved = {}, size, ...options}: StartExecOptions,
): Invocation {
  const count = Object.keys(preserved).length;
  return {
    command: [
      runtime.path,
      ...runtime.globalArguments,
      `--log=${files.log}`,
      ...['exec', '--process', files.spec, '--pid-file', files.pid],
      ...(count === 0 ? [] : ['--preserve-fds', String(count)]),
      container.id,
    ],
    file: execProcessSpec(config, {...options, size: size?.()}),
  };
}

/** undefined where slipway-exec has to leave it to the runtime, for whatever reason. */
function startDirectly(
  config: string,
  files: ExecFiles,
  options: StartExecOptions,
): ChildProcess | undefined {
  const {direct, runtime, container, command, terminal} = options;
  const {init, cgroup} = container;
  if (terminal || init === undefined || cgroup === undefined) return undefined;
  try {
    const target = {...container, init, cgroup};
    const found = direct?.prepare(config, {runtime, container: target, command});
    if (found === undefined) return undefined;
    const argv = [found.program, 'run', files.spec, files.log];
    return spawnInvocation({command: argv, file: found.plan}, files, options);
  } catch {
    return undefined; // nothing has begun: what is wrong shows with the runtime, too, or is over
  }
}

function spawnInvocation(
  {command, file}: Invocation,
  files: ExecFiles,
  {fileDescriptors, preserved = {}}: StartExecOptions,
): ChildProcess {
  writeFileSync(files.spec, file, {mode: 0o600});
  return spawnProcess({
    command,
    environment: runtimeEnvironment(),
    fileDescriptors: {...fileDescriptors, ...preserved},
    // Not a session: with autogroups the scheduler would let each exec wait behind all others.
    newProcessGroup: true,
  });
}

interface ExecFiles {
  readonly spec: string;
  readonly pid: string;
  readonly log: string;
}

function execFiles(bundle: string): ExecFiles {
  const base = join(bundle, `exec-${randomBytes(8).toString('hex')}`);
  return {spec: `${base}.json`, pid: `${base}.pid`, log: `${base}.log`};
}

function removeFiles({spec, pid, log}: ExecFiles): void {
  for (const path of [spec, pid, log]) rmSync(path, {force: true});
}

async function exitOf(
  child: ChildProcess,
  files: ExecFiles,
  {container}: StartExecOptions,
): Promise<number> {
  const {exitCode} = await child.exited;
  if (exitCode === 0) return exitCode;
  // Any exit code may be the command's; only the log tells that it is the runtime's own.
  const log = await readFile(files.log, 'utf8').catch(() => '');
  if (hasRuntimeError(log)) throw execFailed(container, runtimeMessage(log));
  return exitCode;
}

/**
 * The runtime has made a terminal inside and copies from and to the caller's. It takes over the
 * caller's size when it begins; later runc does so again at SIGWINCH, and crun never does. So the
 * one inside is set, which any process of the container has open.
 */
async function resize(child: ChildProcess, files: ExecFiles, size: TerminalSize): Promise<void> {
  const pid = await begunPid(child, files);
  if (pid === undefined) return;
  let terminal: number | undefined;
  try {
    terminal = openSync(`/proc/${pid}/fd/0`, constants.O_RDWR | constants.O_NOCTTY);
    setTerminalSize(terminal, size);
  } catch {
    // It has ended, or has put something else in its terminal's place.
  } finally {
    if (terminal !== undefined) closeSync(terminal);
  }
}

async function kill(child: ChildProcess, files: ExecFiles): Promise<void> {
  const ended = new AbortController();
  const gone = child.exited.then(() => {
    ended.abort();
  });
  await Promise.resolve(); // an end that has come already aborts now
  const deadlineMs = performance.now() + KILL_TIMEOUT_MS;
  while (!ended.signal.aborted && performance.now() < deadlineMs) {
    await killExec(child.pid, await readPid(files.pid));
    await sleep(KILL_LOOK_MS, undefined, {signal: ended.signal}).catch(() => undefined);
  }
  child.kill('SIGKILL'); // it neither reaps nor begins a process: a beginning one dies with it
  await gone;
}

/** The pid of the process once there is one; undefined when it has ended, or does not begin. */
async function begunPid(child: ChildProcess, files: ExecFiles): Promise<number | undefined> {
  const ended = new AbortController();
  void child.exited.then(() => {
    ended.abort();
  });
  const begun = async (): Promise<number | undefined> => await readPid(files.pid);
  const wait = {signal: ended.signal, timeoutMs: BEGIN_TIMEOUT_MS, intervalMs: BEGIN_LOOK_MS};
  const pid = await waitFor(begun, wait).catch(() => undefined);
  return ended.signal.aborted ? undefined : pid;
}

async function readPid(path: string): Promise<number | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return /^[1-9][0-9]{0,9}$/.test(text.trim()) ? Number(text) : undefined;
}

function isRuntimeMissing(error: unknown, runtime: OciRuntime): boolean {
  return error instanceof Error && 'path' in error && error.path === runtime.path;
}

function notRunning({id, bundle}: ExecTarget): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_CONTAINER_STATE', `container ${id} has no bundle in ${bundle}`, {
    hint: 'ask for the container’s status',
  });
}

function execFailed(
  {id}: ExecTarget,
  message: string,
  cause?: unknown,
): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_OCI_RUNTIME_FAILED', `exec in container ${id}: ${message}`, {
    hint: 'look whether the command exists in the image and its user may run it',
    cause,
  });
}
