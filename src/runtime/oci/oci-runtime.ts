import {basename, join} from 'node:path';
import {CodedError, isCoded, messageOf} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import {runCommand} from '../process/run.ts';
import type {ProcessIdentity} from '../sys/processes.ts';
import {parseFeatures, type RuntimeFeatures} from './runtime-features.ts';
import {runtimeEnvironment} from './runtime-environment.ts';
import {runtimeMessage} from './runtime-message.ts';

/** Time limits of the runtime's sub-commands; each is far above what a loaded host needs. */
const START_TIMEOUT_MS = 120_000; // hooks of the container run inside
const KILL_TIMEOUT_MS = 30_000;
const DELETE_TIMEOUT_MS = 60_000; // `delete --force` itself waits up to 10 s for the init
const UPDATE_TIMEOUT_MS = 30_000;
const QUERY_TIMEOUT_MS = 30_000;
const OUTPUT_BYTES_MAX = 1024 * 1024;

/** What a runtime says of a container (OCI runtime specification, "State"). */
export interface OciState {
  readonly status: 'creating' | 'created' | 'running' | 'paused' | 'stopped';
  /** 0 when there is no process. */
  readonly pid: number;
}

interface Waiting {
  readonly signal?: AbortSignal;
}

/**
 * An OCI runtime with runc's command line: runc, crun, youki, runsc.
 *
 * Every function throws CodedError ERR_OCI_RUNTIME_FAILED with the runtime's own cause, or
 * ERR_COMMAND_TIMED_OUT. `create` is missing: conmon calls it (conmon/launch.ts).
 */
export interface OciRuntime {
  /** Name of the runtime handler. */
  readonly name: string;
  readonly path: string;
  /** Folder where the runtime keeps its state; on tmpfs. */
  readonly root: string;
  readonly systemdCgroup: boolean;
  /** See {@link OciRuntimeOptions.isRunc}. */
  readonly isRunc: boolean;
  /** What stands before every sub-command, `--systemd-cgroup` excepted (conmon adds that itself). */
  readonly globalArguments: readonly string[];
  /** @param options.init the process that `create` made: a start of runc's is quicker with it */
  start(
    id: string,
    options?: Waiting & {readonly init?: ProcessIdentity | undefined},
  ): Promise<void>;
  /** @param signalName `TERM`, `SIGTERM` or a number; `all` reaches every process of the container */
  kill(id: string, signalName: string, options?: Waiting & {readonly all?: boolean}): Promise<void>;
  /**
   * Deletes a container whose processes are dead; one that is not, or that is broken, is killed
   * and deleted. A container that the runtime does not know is deleted already.
   */
  delete(id: string, options?: Waiting & {readonly force?: boolean}): Promise<void>;
  /** @param resources `linux.resources` of the OCI runtime specification, as JSON */
  update(id: string, resources: string, options?: Waiting): Promise<void>;
  /** For recovery only: the daemon knows its containers. `undefined`: the runtime knows of none. */
  state(id: string, options?: Waiting): Promise<OciState | undefined>;
  /** `undefined` when this runtime has no `features` sub-command (crun before 1.8.6). */
  features(options?: Waiting): Promise<RuntimeFeatures | undefined>;
  /** First line of `--version`, e.g. `runc version 1.5.2`. */
  version(options?: Waiting): Promise<string>;
}

export interface OciRuntimeOptions {
  readonly name: string;
  readonly path: string;
  readonly root: string;
  readonly systemdCgroup: boolean;
  /**
   * True for runc itself: its containers are processes in namespaces and nothing more, and its state
   * is known. What is asked of a runtime often is then done without it. Default: false.
   */
  readonly isRunc?: boolean;
  /** slipway-exec, which starts runc's containers in less time than runc; by default runc does. */
  readonly execProgram?: string;
}

/** Starts nothing: a runtime that cannot be run is reported by `version`. */
export function openOciRuntime(options: OciRuntimeOptions): OciRuntime {
  const {name, path, root, systemdCgroup, isRunc = false, execProgram} = options;
  const globalArguments = [`--root=${root}`, '--log-format=json'];
  const ask = async (subcommand: readonly string[], call: CallOptions): Promise<Answer> =>
    await askRuntime([path, ...globalArguments, ...subcommand], call);

  return {
    name,
    path,
    root,
    systemdCgroup,
    isRunc,
    globalArguments,
    start: async (id, {init, signal} = {}) => {
      if (isRunc && execProgram !== undefined && init !== undefined) {
        const state = join(root, id);
        if (await startDirectly([execProgram, 'start', state], init, signal)) return;
      }
      outputOf(await ask(['start', id], {timeoutMs: START_TIMEOUT_MS, signal}));
    },
    kill: async (id, signalName, {signal, all = false} = {}) => {
      const flags = all ? ['--all'] : [];
      const limits = {timeoutMs: KILL_TIMEOUT_MS, signal};
      outputOf(await ask(['kill', ...flags, id, signalName], limits));
    },
    delete: async (id, {signal, force = false} = {}) => {
      const limits = {timeoutMs: DELETE_TIMEOUT_MS, signal};
      // `runc delete --force` sleeps 100 ms before it looks whether the init is gone.
      if (!force && (await ask(['delete', id], limits)).kind === 'done') return;
      outputOf(await ask(['delete', '--force', id], limits));
    },
    update: async (id, resources, {signal} = {}) => {
      const call = {timeoutMs: UPDATE_TIMEOUT_MS, signal, input: resources};
      outputOf(await ask(['update', '--resources', '-', id], call));
    },
    state: async (id, {signal} = {}) => {
      const answer = await ask(['state', id], {timeoutMs: QUERY_TIMEOUT_MS, signal});
      return answer.kind === 'done' ? parseState(answer.output, {path, id}) : undefined;
    },
    features: async ({signal} = {}) => {
      const answer = await ask(['features'], {timeoutMs: QUERY_TIMEOUT_MS, signal});
      return answer.kind === 'done' ? parseFeatures(answer.output) : undefined;
    },
    version: async ({signal} = {}) => {
      const call = {timeoutMs: QUERY_TIMEOUT_MS, signal};
      const output = outputOf(await askRuntime([path, '--version'], call));
      return output.split('\n', 1)[0]?.trim() ?? '';
    },
  };
}

/**
 * In a process of its own, as `runc start` would be: it ends its work when the daemon is killed.
 *
 * @returns false when the runtime has to say what is the matter, or the program is missing
 */
async function startDirectly(
  command: readonly string[],
  {pid, startTime}: ProcessIdentity,
  signal: AbortSignal = never,
): Promise<boolean> {
  const started = runCommand({
    command: [...command, String(pid), startTime],
    environment: runtimeEnvironment(),
    timeoutMs: START_TIMEOUT_MS,
    signal,
  });
  return await started.then(
    ({exitCode}) => exitCode === 0,
    (error: unknown) => {
      signal.throwIfAborted();
      if (isCoded(error)) throw error;
      return false; // it cannot be run
    },
  );
}

interface CallOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  readonly input?: string;
}

type Answer =
  | {readonly kind: 'done'; readonly output: string}
  | {readonly kind: 'refused'; readonly error: CodedError<RuntimeErrorCode>};

function outputOf(answer: Answer): string {
  if (answer.kind === 'refused') throw answer.error;
  return answer.output;
}

const never = new AbortController().signal;

/** @throws CodedError only when the program could not be run to its end */
async function askRuntime(
  command: readonly string[],
  {timeoutMs, signal = never, input = ''}: CallOptions,
): Promise<Answer> {
  const environment = runtimeEnvironment();
  const limits = {environment, timeoutMs, maxOutputBytes: OUTPUT_BYTES_MAX, signal};
  const {exitCode, stdout, stderr} = await runCommand({command, input, ...limits}).catch(
    (cause: unknown) => {
      signal.throwIfAborted();
      throw isCoded(cause) ? cause : notStarted(command, cause);
    },
  );
  if (exitCode === 0) return {kind: 'done', output: Buffer.from(stdout).toString('utf8')};
  const cause = runtimeMessage(Buffer.from(stderr).toString('utf8'));
  const message = `${nameOf(command)}: ${cause === '' ? `exit status ${exitCode}` : cause}`;
  const hint = 'compare the container’s configuration with what the host and the runtime allow';
  return {kind: 'refused', error: new CodedError('ERR_OCI_RUNTIME_FAILED', message, {hint})};
}

function notStarted(command: readonly string[], cause: unknown): CodedError<RuntimeErrorCode> {
  const path = command[0] ?? '';
  return new CodedError(
    'ERR_OCI_RUNTIME_FAILED',
    `the OCI runtime ${path} cannot be started: ${messageOf(cause)}`,
    {hint: 'correct the path under runtimes in the configuration, or install the runtime', cause},
  );
}

/** The words of a command that a reader needs: runtime, sub-command and container. */
function nameOf([path = '', ...words]: readonly string[]): string {
  return [basename(path), ...words.filter(word => !word.startsWith('--'))].join(' ');
}

const STATUSES: readonly string[] = ['creating', 'created', 'running', 'paused', 'stopped'];

function parseState(output: string, asked: {readonly path: string; readonly id: string}): OciState {
  try {
    const {status, pid = 0} = JSON.parse(output) as {
      readonly status?: unknown;
      readonly pid?: unknown;
    };
    if (typeof status === 'string' && STATUSES.includes(status) && typeof pid === 'number') {
      return {status: status as OciState['status'], pid};
    }
  } catch {
    // Reported below, together with a state that parses and says nothing.
  }
  throw new CodedError<RuntimeErrorCode>(
    'ERR_OCI_RUNTIME_FAILED',
    `${asked.path} state ${asked.id}: expected the OCI state, found ${JSON.stringify(output.slice(0, 200))}`,
    {hint: 'use a runtime with runc’s command line'},
  );
}
