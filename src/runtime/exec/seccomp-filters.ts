import {randomBytes} from 'node:crypto';
import {existsSync, rmSync} from 'node:fs';
import {mkdir, readFile, rm} from 'node:fs/promises';
import type {Socket} from 'node:net';
import {join} from 'node:path';
import {once} from 'node:events';
import {sha256Hex} from '#shared/digest';
import {CodedError, messageOf} from '#shared/errors';
import type {Log} from '#shared/log';
import type {RuntimeErrorCode} from '../errors.ts';
import type {OciRuntime} from '../oci/oci-runtime.ts';
import {openPipe, openReader} from '../process/pipe.ts';
import {runCommand} from '../process/run.ts';
import type {OciSeccomp} from '../spec/oci-spec.ts';
import {close} from '../sys/libc.ts';
import {sealedCopy} from '../sys/memory-file.ts';
import {processStartTime} from '../sys/processes.ts';
import type {ExecTarget} from './exec-target.ts';
import {killAfter, type RunningExec, startExec} from './runtime-exec.ts';

/** Filters as the kernel has them, by the profile that an OCI runtime made them of. */
export interface SeccompFilters {
  /**
   * The file with the filter of a profile. When it is not known, learning it begins, in a container
   * that has the profile, and undefined is returned: this time the runtime has to do it.
   */
  find(seccomp: OciSeccomp, runtime: OciRuntime, container: ExecTarget): string | undefined;
  /** Resolves when nothing is being learnt. */
  settled(): Promise<void>;
}

export interface SeccompFiltersOptions {
  /** slipway-exec. */
  readonly path: string;
  /** Descriptor of its sealed copy, which no container gets to see. */
  readonly program: number;
  /** For the filters; only root reads it. */
  readonly folder: string;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Profiles that are remembered; a cluster has a handful. */
const PROFILES_MAX = 256;
/** Containers in which a profile is tried to be learnt. */
const TRIES_MAX = 5;
const HELD_FD = 3;
const LEARN_MS_MAX = 10_000;
const END_MS = 1_000;

/**
 * Learns filters from processes of our own: the OCI runtime runs `slipway-exec hold` in a container
 * that has the profile, and the kernel tells what filter it was given. So it is the runtime's in
 * every instruction, and no process of a user's is touched.
 */
export function createSeccompFilters(options: SeccompFiltersOptions): SeccompFilters {
  const {folder, log, signal} = options;
  const known = new Map<string, string>();
  const learning = new Map<string, Promise<void>>();
  /** Containers in which it did not work, by profile: the next one may have /proc, or a pid to spare. */
  const refused = new Map<string, Set<string>>();
  rmSync(folder, {recursive: true, force: true}); // an earlier daemon's
  const learn = async (hash: string, runtime: OciRuntime, container: ExecTarget): Promise<void> => {
    try {
      await mkdir(folder, {recursive: true, mode: 0o700});
      const file = join(folder, `${hash.slice(0, 16)}-${randomBytes(4).toString('hex')}.bpf`);
      const limit = AbortSignal.any([signal, AbortSignal.timeout(LEARN_MS_MAX)]);
      const inherited = await filterCount('self');
      await saveFilter({...options, runtime, container, file, inherited, limit});
      known.set(hash, file);
      refused.delete(hash);
    } catch (error) {
      if (signal.aborted) return;
      refused.set(hash, (refused.get(hash) ?? new Set()).add(container.id));
      const fields = {container: container.id, error: messageOf(error)};
      log.info('commands of this seccomp profile are run by the OCI runtime', fields);
    }
  };
  const isWorthATry = (hash: string, {id}: ExecTarget): boolean => {
    const containers = refused.get(hash);
    if (learning.has(hash) || known.size + refused.size >= PROFILES_MAX) return false;
    return containers === undefined || (containers.size < TRIES_MAX && !containers.has(id));
  };
  return {
    find(seccomp, runtime, container) {
      const hash = sha256Hex(JSON.stringify([runtime.path, seccomp]));
      const file = known.get(hash);
      if (file !== undefined && existsSync(file)) return file;
      if (!isWorthATry(hash, container)) return undefined;
      const work = learn(hash, runtime, container).finally(() => learning.delete(hash));
      learning.set(hash, work);
      return undefined;
    },
    async settled() {
      await Promise.all(learning.values());
    },
  };
}

interface Saving extends SeccompFiltersOptions {
  readonly runtime: OciRuntime;
  readonly container: ExecTarget;
  readonly file: string;
  /** Filters that the daemon itself is under: the oldest ones of every process below it. */
  readonly inherited: number;
  readonly limit: AbortSignal;
}

async function saveFilter(saving: Saving): Promise<void> {
  const {program, path, runtime, container, file, inherited, limit} = saving;
  limit.throwIfAborted();
  // Of its own: the container's root may do to this file whatever an owner may.
  const copy = sealedCopy(path);
  const [input, output] = [openPipe(), openPipe()];
  const ready = openReader(output.read);
  ready.on('error', () => undefined);
  let held: RunningExec | undefined;
  try {
    held = startExec({
      runtime,
      container,
      command: [`/proc/self/fd/${HELD_FD}`, 'hold'],
      terminal: false,
      // The end of its input ends it, also when this daemon is gone.
      fileDescriptors: {0: input.read, 1: output.write},
      preserved: {[HELD_FD]: copy},
    });
    await untilReady(held, ready, limit);
    const pid = await held.pid();
    const startTime = pid === undefined ? undefined : processStartTime(pid);
    if (pid === undefined || startTime === undefined) throw failed('its pid is not known');
    const count = await filterCount(pid);
    if (count !== inherited + 1) throw failed(`it is under ${count} filters`);
    const {exitCode, stderr} = await runCommand({
      command: [`/proc/${process.pid}/fd/${program}`, 'filter', String(pid), startTime, String(inherited), file],
      signal: limit,
    }); // prettier-ignore
    if (exitCode !== 0) throw failed(Buffer.from(stderr).toString());
  } catch (error) {
    await rm(file, {force: true});
    throw error;
  } finally {
    close(copy);
    close(input.write);
    ready.destroy();
    // It ends by itself, unless the container keeps it from that.
    if (held !== undefined) await killAfter(held, END_MS);
  }
}

async function untilReady(held: RunningExec, ready: Socket, signal: AbortSignal): Promise<void> {
  const ended = held.exited.then(exitCode => {
    throw failed(`it ended with ${exitCode}`);
  });
  await Promise.race([once(ready, 'data', {signal}), ended]);
  ended.catch(() => undefined); // it does so later, when its input ends
}

/** `Seccomp_filters` of /proc/PID/status, Linux 5.9 and later. */
async function filterCount(pid: number | 'self'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1');
  const count = /^Seccomp_filters:\s*([0-9]+)$/m.exec(status)?.[1];
  if (count === undefined) throw failed('this kernel does not count filters');
  return Number(count);
}

function failed(reason: string): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_OCI_RUNTIME_FAILED', `the filter could not be read: ${reason}`, {
    hint: 'nothing has to be done: commands are run by the OCI runtime',
  });
}
