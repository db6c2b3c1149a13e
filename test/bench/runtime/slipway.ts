import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {PeerPrograms} from './programs.ts';

const ROOT = new URL('../../..', import.meta.url).pathname;

/** Our daemon as it is shipped: the bundle on the same Node with the flags of the unit. */
export async function prepareSlipway(folder: string, programs: PeerPrograms) {
  const socket = join(folder, 's.sock');
  const registries = join(folder, 'registries.conf');
  await writeFile(
    registries,
    `[[registry]]\nlocation = "${programs.registryHost}"\ninsecure = true\n`,
  );
  const config = join(folder, 'cri.toml');
  await writeFile(config, `execProgram = "${programs.slipwayExec}"\n`);
  const command = [
    join(ROOT, 'node_modules/.bin/node'),
    '--max-semi-space-size=1',
    '--optimize-for-size',
    programs.daemon,
    ...['--config', config],
    ...['--listen', `unix://${socket}`],
    ...['--root', join(folder, 'root'), '--state', join(folder, 'state')],
    ...['--cni-conf-dir', join(folder, 'net.d'), '--cni-bin-dir', programs.cniDirectory],
    ...['--runtime', programs.runc, '--conmon', programs.conmon],
    ...['--cgroup-manager', 'cgroupfs', '--registries-conf', registries],
  ];
  return {socket, command, environment: {}};
}
