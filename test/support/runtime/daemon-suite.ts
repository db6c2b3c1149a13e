import {createReadStream} from 'node:fs';
import {readdir} from 'node:fs/promises';
import {join} from 'node:path';
import {waitFor} from '#shared/wait-for';
import {buildRuntimeBundle} from '#runtime/build';
import {sendArchive} from '#runtime/cri/archive';
import {busyboxArchive} from '#test/runtime/busybox-archive';
import {
  mountsBelow,
  runtimeDaemon,
  type RuntimeDaemon,
  type RuntimeDaemonOptions,
} from '#test/runtime/runtime-daemon';
import {runtimePrograms} from '#test/runtime-programs';
import {temporaryFolder} from '#test/temporary-folder';
import type {TestFn} from 'ava';

const {signal} = new AbortController();
const EVENTUALLY_MS = 15_000;

export interface DaemonSuiteOptions {
  readonly config?: string;
  /** What else the daemon needs, made in a folder that is removed afterwards. */
  readonly prepare?: (
    folder: string,
  ) => Promise<Pick<RuntimeDaemonOptions, 'networks' | 'enter' | 'environment' | 'registries'>>;
  /** Takes down what `prepare` made outside the folder. */
  readonly cleanUp?: () => Promise<void>;
}

export interface DaemonSuite {
  readonly daemon: () => RuntimeDaemon;
  /** The archive of the image that the daemon has. */
  readonly archive: () => string;
}

/**
 * One daemon for all tests of a file, built as it is shipped, with the busybox image imported.
 * After each test all pods are removed, and nothing of them may be left.
 */
export function daemonSuite(test: TestFn, options: DaemonSuiteOptions = {}): DaemonSuite {
  const folder = temporaryFolder();
  let daemon: RuntimeDaemon | undefined;
  let archive = '';
  const running = (): RuntimeDaemon => {
    if (!daemon) throw new Error('the daemon was not started');
    return daemon;
  };

  test.before('the daemon serves', async () => {
    const {path} = await folder;
    const programs = await runtimePrograms(path, signal);
    archive = await busyboxArchive(join(path, 'busybox'), signal);
    await buildRuntimeBundle(join(path, 'daemon'), {arch: process.arch});
    const bundle = join(path, 'daemon/slipway-cri.mjs');
    const {config = '', prepare = () => Promise.resolve({})} = options;
    daemon = await runtimeDaemon({programs, bundle, config, ...(await prepare(path))});
    await daemon.cri().images.import(sendArchive([], createReadStream(archive)));
  });

  test.after.always(async () => {
    await daemon?.[Symbol.asyncDispose]();
    await options.cleanUp?.();
    await (await folder)[Symbol.asyncDispose]();
  });

  test.afterEach.always('nothing is left', async t => {
    const {runtime} = running().cri();
    const {items} = await runtime.listPodSandbox({});
    for (const {id} of items) await runtime.removePodSandbox({podSandboxId: id});
    t.deepEqual(await leftOvers(running()), []);
  });

  return {daemon: running, archive: () => archive};
}

/** What pods leave behind: mounts, records, bundles, exit files, state of OCI runtimes. */
export async function leftOvers({root, state, folder}: RuntimeDaemon): Promise<readonly string[]> {
  const listed = async (directory: string): Promise<readonly string[]> => {
    const names = await readdir(directory).catch(() => []);
    return names.filter(name => !name.startsWith('.')).map(name => join(directory, name));
  };
  const folders = [
    join(root, 'sandboxes'),
    join(root, 'containers'),
    join(root, 'images/rootfs'),
    join(state, 'sandboxes'),
    join(state, 'containers'),
    join(state, 'exits'),
    join(state, 'oci/runc'),
    join(state, 'oci/crun'),
  ];
  const mounts = (await mountsBelow(folder)).filter(point => point !== state);
  return [...mounts, ...(await Promise.all(folders.map(listed))).flat()];
}

/** Waits until something holds. */
export async function eventually(holds: () => Promise<boolean> | boolean): Promise<void> {
  const probe = async () => ((await holds()) ? true : undefined);
  await waitFor(probe, {signal, timeoutMs: EVENTUALLY_MS, intervalMs: 10});
}
