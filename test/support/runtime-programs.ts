import {mkdir, symlink} from 'node:fs/promises';
import {join} from 'node:path';
import {aptGet} from '#shared/apt';
import {hasCommand, run} from '#shared/local-process';
import {openArtifactStore} from '#artifacts/store';

export interface RuntimePrograms {
  readonly runc: string;
  readonly crun: string;
  readonly conmon: string;
  readonly catatonit: string;
  readonly slipwayExec: string;
  /** Has the plugins under their own names: bridge, host-local, loopback, portmap. */
  readonly cniBinDirectory: string;
}

/** The shared libraries of conmon and crun, where a machine lacks them; names as apt knows them. */
const LIBRARIES = ['libglib2.0-0', 'libyajl2'];
const CNI_PLUGINS = ['bridge', 'host-local', 'loopback', 'portmap'] as const;

/**
 * What the runtime daemon starts, from the artifact cache (made there when missing), for
 * integration tests.
 *
 * @param folder an empty place for links; the test removes it
 */
export async function runtimePrograms(
  folder: string,
  signal: AbortSignal,
): Promise<RuntimePrograms> {
  const store = await openArtifactStore({source: 'packages', signal});
  const path = async (name: Parameters<typeof store.artifact>[0]) =>
    (await store.artifact(name)).path;
  const cniBinDirectory = join(folder, 'cni-bin');
  await mkdir(cniBinDirectory, {recursive: true});
  for (const plugin of CNI_PLUGINS) {
    await symlink(await path(`cni-${plugin}`), join(cniBinDirectory, plugin));
  }
  const programs = {
    runc: await path('runc'),
    crun: await path('crun'),
    conmon: await path('conmon'),
    catatonit: await path('catatonit'),
    slipwayExec: await path('slipway-exec'),
    cniBinDirectory,
  };
  await ensureLibraries([programs.conmon, programs.crun], signal);
  return programs;
}

async function ensureLibraries(programs: readonly string[], signal: AbortSignal): Promise<void> {
  const outputs = programs.map(program => run(['ldd', program], {signal}));
  const isComplete = (await Promise.all(outputs)).every(({stdout}) => !/not found/.test(stdout));
  if (isComplete || !hasCommand('apt-get')) return;
  const install = ['install', '--yes', '--no-install-recommends', ...LIBRARIES];
  const {isDone, said} = await aptGet(install, {signal});
  if (!isDone) throw new Error(`cannot install ${LIBRARIES.join(' ')} for the tests: ${said}`);
}
