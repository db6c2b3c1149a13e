/** A cluster that lives: looked at, changed by hand, changed in cluster.yaml, left alone. */
import test from 'ava';
import {readFile, rm} from 'node:fs/promises';
import {join} from 'node:path';
import type {ClusterStatus} from '#provisioner/actions/status';
import {eventOf, type Finished, provision, startProvision} from '#test/e2e/command-line';
import {THREE_HOSTS} from '#test/e2e/saved-snapshots';
import {startTimes} from '#test/e2e/start-times';
import {CLUSTER, FOLDER, must, onHost, setKey, writeVariant} from '#test/e2e/the-lab';

test.before('a cluster', async () => {
  await must([CLUSTER, '--yes']);
});

test('validate says that the files are sound, without a network', async t => {
  const {stdout} = await must(['validate', '--output', 'json']);
  t.deepEqual(JSON.parse(stdout), {valid: true, cluster: 'lab', hosts: THREE_HOSTS});
});

test('status shows every host: ssh, runtime, kubelet, Ready, certificates, drift', async t => {
  const {stdout} = await must(['status', '--output', 'json']);
  const {hosts} = JSON.parse(stdout) as ClusterStatus;
  t.deepEqual(
    hosts.map(({host}) => host),
    THREE_HOSTS,
  );
  for (const {ssh, runtime, kubelet, ready, certificatesUntil, drift} of hosts) {
    t.deepEqual({ssh, ready, drift}, {ssh: 'ok', ready: 'yes', drift: 0});
    t.regex(runtime, /^slipway active \d/);
    t.is(kubelet, 'active v1.36.3');
    t.true(Date.parse(certificatesUntil) > Date.now());
  }
});

test('kubeconfig and help print for people and pipes', async t => {
  t.regex((await must(['kubeconfig'])).stdout, /server: https:\/\/10\.89\.0\.11:6443/);
  t.regex((await must(['help'])).stdout, /provision CLUSTER\.yaml/);
});

test('a user with sudo finds the same 0 changes as root', async t => {
  await writeVariant('hosts.yaml', 'e2e-sudo-hosts.yaml', document => {
    setKey(document, 'all.vars.user', 'lab');
  });
  const file = await writeVariant('cluster.yaml', 'e2e-sudo.yaml', document => {
    setKey(document, 'spec.inventory', 'e2e-sudo-hosts.yaml');
  });
  const finished = await plan(file);
  t.is(finished.exitCode, 0, finished.stderr);
  t.deepEqual(plannedIds(finished), []);
});

test('the run folder can be deleted: nothing is lost', async t => {
  await rm(join(FOLDER, '.provision'), {recursive: true});
  const finished = await provision([CLUSTER, '--yes', '--output', 'json']);
  t.is(finished.exitCode, 0, finished.stderr);
  t.is(eventOf(finished, 'run-finished')?.changes, 0);
  const run = eventOf(finished, 'run-started')?.run ?? '';
  const journal = await readFile(join(FOLDER, '.provision/lab/runs', run, 'events.ndjson'), 'utf8');
  t.is(journal.trimEnd().split('\n').length, finished.events.length);
});

test('what was changed by hand is shown by plan with a diff, and nothing else is', async t => {
  await onHost('h2', `echo '# by hand' >> ${MODULES}; echo x >> ${PLUGIN}`);
  await onHost('h3', 'sysctl -qw net.ipv4.ip_forward=0');
  const finished = await plan(CLUSTER);
  t.is(finished.exitCode, 3, finished.stderr);
  t.deepEqual(plannedIds(finished), DRIFT);
  const changes = eventOf(finished, 'plan')?.hosts.flatMap(host => host.changes) ?? [];
  t.regex(changes.find(({id}) => id === `file:${MODULES}`)?.diff ?? '', /^-# by hand$/m);
  const dry = await provision([CLUSTER, '--dry-run']);
  t.is(dry.exitCode, 0, dry.stderr);
  t.regex(dry.stdout, /^ *-# by hand$[^]*^plan: 3 changes$/m);
});

test('--limit plans and changes only the hosts that it names', async t => {
  const finished = await plan(CLUSTER, '--limit', 'h2');
  t.deepEqual(plannedIds(finished), DRIFT.slice(0, 2));
  const unknown = await plan(CLUSTER, '--limit', 'h2,nobody');
  t.is(unknown.exitCode, 2);
  t.deepEqual(unknown.codes, ['ERR_LIMIT_UNKNOWN']);
});

test('the next run repairs it; a second operator is refused meanwhile', async t => {
  const before = await startTimes(THREE_HOSTS);
  const repairing = startProvision([CLUSTER, '--yes', '--output', 'json']);
  await repairing.event(({type}) => type === 'plan'); // the hosts are locked by now
  repairing.pause();
  const second = await provision([CLUSTER, '--yes', '--output', 'json']);
  repairing.resume();
  t.is(second.exitCode, 21, second.stderr);
  t.deepEqual([...new Set(second.codes)], ['ERR_LOCKED']);
  const finished = await repairing.ended;
  t.is(finished.exitCode, 0, finished.stderr);
  t.is(eventOf(finished, 'run-finished')?.changes, DRIFT.length);
  t.is((await plan(CLUSTER)).exitCode, 0);
  t.deepEqual(await startTimes(THREE_HOSTS), before);
  t.is(await onHost('h3', 'sysctl -n net.ipv4.ip_forward'), '1');
});

test('a kubelet key in cluster.yaml is planned, and only kubelets restart', async t => {
  await writeVariant('cluster.yaml', 'cluster.yaml', document => {
    setKey(document, 'spec.kubelet.config.maxPods', 77);
  });
  const planned = await plan(CLUSTER);
  t.is(planned.exitCode, 3);
  t.deepEqual(
    plannedIds(planned),
    THREE_HOSTS.flatMap(host => [`${host} file:${DROP_IN}`, `${host} unit:kubelet.service`]),
  );
  const before = await startTimes(THREE_HOSTS);
  await must([CLUSTER, '--yes']);
  const after = await startTimes(THREE_HOSTS);
  for (const host of THREE_HOSTS) {
    t.deepEqual(changedLines(before[host], after[host]), ['Id=kubelet.service'], host);
  }
  const nodes = await must(['kubectl', 'get', 'nodes', '-o', 'jsonpath={..status.capacity.pods}']);
  t.is(nodes.stdout, '77 77 77');
});

test('a key that only init reads is refused by its name', async t => {
  const file = await writeVariant('cluster.yaml', 'e2e-cidr.yaml', document => {
    setKey(document, 'spec.network.podCIDR', '10.200.0.0/16');
  });
  const finished = await provision([file, '--yes']);
  t.is(finished.exitCode, 10);
  t.deepEqual(finished.codes, ['ERR_INIT_KEY_CHANGED']);
  t.regex(
    finished.stderr,
    /spec\.network\.podCIDR \(was 10\.244\.0\.0\/16, is 10\.200\.0\.0\/16\)/,
  );
});

const MODULES = '/etc/modules-load.d/slipway.conf';
const PLUGIN = '/opt/cni/bin/portmap';
const DROP_IN = '/etc/kubernetes/kubelet.conf.d/10-slipway.conf';
const DRIFT = [`h2 artifact:${PLUGIN}`, `h2 file:${MODULES}`, 'h3 sysctl:net.ipv4.ip_forward'];

async function plan(...args: readonly string[]): Promise<Finished> {
  return await provision(['plan', ...args, '--detailed-exitcode', '--output', 'json']);
}

/** `<host> <resource>` of every planned change. */
function plannedIds(finished: Finished): readonly string[] {
  const hosts = eventOf(finished, 'plan')?.hosts ?? [];
  return hosts.flatMap(({host, changes}) => changes.map(({id}) => `${host} ${id}`)).sort();
}

/** The `Id=` of units, and the ids of containers, whose start time is another. */
function changedLines(before = '', after = ''): readonly string[] {
  const [old, now] = [before, after].map(text => text.split('\n'));
  const changed = (now ?? []).map((line, index) => ({line, index, was: old?.[index]}));
  return changed
    .filter(({line, was}) => line !== was)
    .map(({line, index}) => (line.startsWith('ActiveEnter') ? (now?.[index - 1] ?? '') : line));
}
