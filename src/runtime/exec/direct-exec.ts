import {existsSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {messageOf} from '#shared/errors';
import type {Log} from '#shared/log';
import {runCommand} from '../process/run.ts';
import {close} from '../sys/libc.ts';
import {sealedCopy} from '../sys/memory-file.ts';
import {directPlan, readDirectContainer} from './direct-plan.ts';
import type {DirectExec, DirectTarget} from './exec-target.ts';
import {createSeccompFilters} from './seccomp-filters.ts';

export interface DirectExecOptions {
  /** slipway-exec. */
  readonly path: string;
  /** For seccomp filters; on tmpfs, only root reads it. */
  readonly folder: string;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** A loaded AppArmor profile, to see by whether labels can be set; none: nobody wants one. */
  readonly apparmorProfile?: string | undefined;
}

const CHECK_MS_MAX = 10_000;

/** @returns undefined, with a line in the log, where the program is missing or the kernel too old */
export async function openDirectExec(options: DirectExecOptions): Promise<DirectExec | undefined> {
  const {path, log, signal, apparmorProfile} = options;
  let program: number | undefined;
  try {
    program = sealedCopy(path);
    const command = [`/proc/${process.pid}/fd/${program}`, 'check'];
    const failure = await failureOf(command, signal);
    if (failure !== undefined) throw new Error(failure);
    const unlabelled =
      apparmorProfile === undefined
        ? 'no profile is loaded'
        : await failureOf([...command, apparmorProfile], signal).catch(messageOf);
    signal.throwIfAborted();
    if (apparmorProfile !== undefined && unlabelled !== undefined) {
      log.info('commands under AppArmor are run by the OCI runtime', {path, error: unlabelled});
    }
    return new Direct(options, {program, setsLabels: unlabelled === undefined});
  } catch (error) {
    if (program !== undefined) close(program);
    signal.throwIfAborted();
    log.info('commands in containers are run by the OCI runtime', {path, error: messageOf(error)});
    return undefined;
  }
}

/** What a check says that fails; undefined when all is well. */
async function failureOf(
  command: readonly string[],
  signal: AbortSignal,
): Promise<string | undefined> {
  const {exitCode, stderr} = await runCommand({command, timeoutMs: CHECK_MS_MAX, signal});
  if (exitCode === 0) return undefined;
  return Buffer.from(stderr).toString() || `${command.slice(1).join(' ')} ended with ${exitCode}`;
}

class Direct implements DirectExec {
  #program: number | undefined;
  readonly #setsLabels: boolean;
  readonly #filters: ReturnType<typeof createSeccompFilters>;

  constructor(
    options: DirectExecOptions,
    {program, setsLabels}: {readonly program: number; readonly setsLabels: boolean},
  ) {
    this.#program = program;
    this.#setsLabels = setsLabels;
    this.#filters = createSeccompFilters({...options, program});
  }

  prepare(
    config: string,
    {runtime, container, command}: Parameters<DirectExec['prepare']>[1],
  ): ReturnType<DirectExec['prepare']> {
    if (this.#program === undefined || !runtime.isRunc) return undefined;
    const plain = readDirectContainer(config);
    if (plain === undefined) return undefined;
    if (plain.process.apparmorProfile !== undefined && !this.#setsLabels) return undefined;
    const filterFile = plain.seccomp && this.#filters.find(plain.seccomp, runtime, container);
    if (plain.seccomp !== undefined && filterFile === undefined) return undefined;
    const cgroups = cgroupsOf(container);
    if (cgroups.length === 0) return undefined;
    const {id: containerId, init} = container;
    const plan = directPlan(plain, {containerId, command, init, cgroups, filterFile});
    return plan && {program: `/proc/${process.pid}/fd/${this.#program}`, plan};
  }

  async settled(): Promise<void> {
    await this.#filters.settled();
  }

  close(): void {
    if (this.#program !== undefined) close(this.#program);
    this.#program = undefined;
  }
}

/**
 * Where a command belongs. On v2 a container may have cgroups of its own below its own one, and
 * then no process can be in the upper one: commands go where its first process is.
 */
function cgroupsOf({cgroup, init}: DirectTarget): readonly string[] {
  const {version, relativePath, directories} = cgroup;
  if (version === 1) return [...new Set(Object.values(directories))].filter(existsSync);
  const {unified = ''} = directories;
  const root = unified.slice(0, unified.length - relativePath.length);
  try {
    const path = /^0::(.*)$/m.exec(readFileSync(`/proc/${init.pid}/cgroup`, 'utf8'))?.[1] ?? '';
    return path.startsWith(`${relativePath}/`) ? [join(root, path)] : [unified];
  } catch {
    return []; // it has just ended: the runtime says so
  }
}
