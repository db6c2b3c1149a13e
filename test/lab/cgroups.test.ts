import {mkdir, readdir, readlink, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {run} from '#shared/local-process';
import {HOST_SCRIPTS} from '#lab/host/lab-host';
import {temporaryFolder} from '#test/temporary-folder';

const {signal} = new AbortController();

/** Runs a line of shell with the functions of cgroups.sh, as the host's scripts do. */
async function sh(root: string, script: string): Promise<string> {
  const argv = ['sh', '-euc', `. ${join(HOST_SCRIPTS, 'cgroups.sh')}; ${script}`];
  const {exitCode, stdout, stderr} = await run(argv, {signal, env: {LAB_CGROUP_ROOT: root}});
  if (exitCode !== 0) throw new Error(stderr);
  return stdout;
}

test('controllers of cgroup v1 that share a hierarchy are one, with their links', async t => {
  await using folder = await temporaryFolder();
  const [machine, host] = [join(folder.path, 'machine'), join(folder.path, 'host')];
  for (const name of ['cpu,cpuacct', 'memory', 'unified']) {
    await mkdir(join(machine, name), {recursive: true});
    await writeFile(join(machine, name, 'cgroup.procs'), '');
  }
  await mkdir(join(machine, 'other'));
  await symlink('cpu,cpuacct', join(machine, 'cpu'));
  await symlink('cpu,cpuacct', join(machine, 'cpuacct'));
  const found = (await sh(machine, 'cgroup_hierarchies')).trim().split('\n');
  t.deepEqual(
    found,
    ['cpu,cpuacct', 'memory', 'unified'].map(name => join(machine, name)),
  );
  await mkdir(host);
  await sh(machine, `cgroup_link ${host}`);
  t.deepEqual((await readdir(host)).sort(), ['cpu', 'cpuacct']);
  t.is(await readlink(join(host, 'cpu')), 'cpu,cpuacct');
});

test('cgroup v2 is one hierarchy without links', async t => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, 'cgroup.procs'), '');
  await mkdir(join(folder.path, 'system.slice'));
  t.is(await sh(folder.path, 'cgroup_hierarchies; cgroup_link /nowhere'), `${folder.path}\n`);
});
