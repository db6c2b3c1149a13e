/** A worker loses its power and gets it back. */
import test from 'ava';
import type {ClusterStatus} from '#provisioner/actions/status';
import {eventOf, provision} from '#test/e2e/command-line';
import {Kubectl} from '#test/e2e/kubectl';
import {CLUSTER, eventually, must, onHost} from '#test/e2e/the-lab';
import {answersExec, deployWeb, podsOf, startedAt} from '#test/e2e/workload';

const BACK_TIMEOUT_MS = 120_000;

test.before('a cluster with a Deployment', async () => {
  await must([CLUSTER, '--yes']);
  await deployWeb(await Kubectl.open());
});

test('a crashed worker is named by status, and its containers come back after it is started', async t => {
  const kube = await Kubectl.open();
  const onH3 = (await podsOf(kube, 'app=web')).filter(({node}) => node === 'h3');
  t.true(onH3.length > 0);
  await must(['lab', 'crash', 'h3']);
  const crashedMs = Date.now();
  const {stdout} = await must(['status', '--output', 'json']);
  const {hosts} = JSON.parse(stdout) as ClusterStatus;
  const h3 = hosts.find(({host}) => host === 'h3');
  t.is(h3?.ssh, 'ERR_HOST_UNREACHABLE');
  await must(['lab', 'start', 'h3']);
  // A status of Running may be the one from before: only a later start counts, and an answer.
  for (const {name} of onH3) {
    await eventually(
      async () => ((await startedAt(kube, name)) ?? 0) > crashedMs - 1_000 || undefined,
      {timeoutMs: BACK_TIMEOUT_MS},
    );
    await answersExec(kube, name);
  }
  t.log(`back ${((Date.now() - crashedMs) / 1000).toFixed(1)} s after the crash`);
});

test('after a boot nothing has to be changed: modules, settings and units are there', async t => {
  const kube = await Kubectl.open();
  for (const [namespace, name] of [
    ['kube-flannel', 'daemonset/kube-flannel'],
    ['kube-system', 'daemonset/kube-proxy'],
    ['kube-system', 'deployment/cluster-dns'],
  ] as const) {
    await kube.run(['rollout', 'status', name, '--namespace', namespace, '--timeout=120s']);
  }
  t.is(await onHost('h3', 'sysctl -n net.ipv4.ip_forward'), '1');
  const finished = await provision([CLUSTER, '--yes', '--output', 'json']);
  t.is(finished.exitCode, 0, finished.stderr);
  t.is(eventOf(finished, 'plan')?.changes, 0);
});
