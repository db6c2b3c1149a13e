import {mkdir, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {HOST_PATH} from '#test/host-path';
import type {PeerPrograms} from './programs.ts';

/** Writes the configuration of a containerd that touches nothing outside `folder`. */
export async function prepareContainerd(folder: string, programs: PeerPrograms) {
  const bin = join(folder, 'bin');
  const socket = join(folder, 'c.sock');
  await mkdir(bin, {recursive: true});
  // containerd looks up its runtime by this name, whatever BinaryName says.
  await symlink(programs.runc, join(bin, 'runc'));
  const shim = join(bin, 'containerd-shim-runc-v2');
  await symlink(programs.shim, shim);
  const text = `version = 4
root = '${folder}/root'
state = '${folder}/state'
temp = '${folder}/tmp'
imports = []
[plugins.'io.containerd.server.v1.grpc']
  address = '${socket}'
[plugins.'io.containerd.server.v1.ttrpc']
  address = '${folder}/t.sock'
[plugins.'io.containerd.internal.v1.opt']
  path = '${folder}/opt'
[plugins.'io.containerd.shim.v1.manager']
  socket_dir = '${folder}/s'
[plugins.'io.containerd.nri.v1.nri']
  disable = true
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '${programs.pauseReference}'
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['${programs.cniDirectory}']
  conf_dir = '${folder}/net.d'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'
  runtime_path = '${shim}'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  SystemdCgroup = false
  BinaryName = '${programs.runc}'
`;
  const file = join(folder, 'config.toml');
  await writeFile(file, text);
  return {
    socket,
    command: [programs.containerd, '--config', file],
    environment: {PATH: `${bin}:${HOST_PATH}`},
  };
}
