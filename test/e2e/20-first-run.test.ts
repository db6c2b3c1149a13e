/** Three bare hosts to a proven cluster, and a second run that finds nothing to do. */
import test from 'ava';
import type {ProofResult} from '#provisioner/proof/proof-result';
import {eventOf, provision} from '#test/e2e/command-line';
import {saveSnapshots, THREE_HOSTS} from '#test/e2e/saved-snapshots';
import {startTimes} from '#test/e2e/start-times';
import {CLUSTER, onHosts, raiseLab} from '#test/e2e/the-lab';

test.before('three bare hosts', async () => {
  await raiseLab(3);
  await saveSnapshots(THREE_HOSTS);
});

test('one command takes three bare hosts to a proven cluster', async t => {
  const finished = await provision([CLUSTER, '--yes', '--output', 'json']);
  t.is(finished.exitCode, 0, finished.stderr);
  const end = eventOf(finished, 'run-finished');
  t.deepEqual(
    end?.hosts.map(({host, state}) => `${host} ${state}`),
    ['h1 done', 'h2 done', 'h3 done'],
  );
  t.is(end?.changes, eventOf(finished, 'plan')?.changes);
  t.true((end?.changes ?? 0) > 100, 'the hosts were not bare');
  const phases = finished.events.filter(({type}) => type === 'task-finished');
  t.true(phases.some(event => 'phase' in event && event.phase === 'certificate-test'));
  t.log(`bare hosts to proven cluster with an issued certificate: ${end?.seconds.toFixed(1)} s`);
});

test('the proof covers every node: version, pod, exec, logs, Service by name, pods, NodePorts; and every issuer', async t => {
  const {exitCode, stdout, stderr} = await provision(['verify', '--output', 'json']);
  t.is(exitCode, 0, stderr);
  const proof = JSON.parse(stdout.split('\n').at(-1) ?? '') as ProofResult;
  t.deepEqual(
    proof.nodes.map(({node}) => node),
    THREE_HOSTS,
  );
  for (const {node, cells} of proof.nodes) {
    const states = Object.entries(cells).map(([check, {state}]) => `${check} ${state}`);
    const checks = 'ready version runtime pod exec logs service pods nodeports'.split(' ');
    t.deepEqual(states.sort(), checks.map(check => `${check} ok`).sort(), node);
    t.is(cells.pods?.detail, '2/2');
    t.is(cells.nodeports?.detail, '3/3');
  }
  t.true(proof.workloads.every(({cell}) => cell.state === 'ok'));
  t.true(
    proof.workloads.some(({workload}) => workload === 'Deployment cert-manager/slipway-certs'),
  );
  const issued = proof.issuers.map(({issuer, cells}) => [issuer, cells.ready?.state, cells.certificate?.detail.replace(/.*signed/, 'signed')]); // prettier-ignore
  t.deepEqual(issued, [
    ['ClusterIssuer/self-signed', 'ok', 'signed by itself'],
    ['ClusterIssuer/lab-ca', 'ok', 'signed by CN=Lab CA'],
  ]);
});

test('a second run makes 0 changes and restarts nothing', async t => {
  const before = await startTimes(THREE_HOSTS);
  const state = await onHosts(THREE_HOSTS, 'sha256sum /var/lib/slipway/state.json');
  const finished = await provision([CLUSTER, '--yes', '--output', 'json']);
  t.is(finished.exitCode, 0, finished.stderr);
  t.is(eventOf(finished, 'plan')?.changes, 0);
  t.is(eventOf(finished, 'run-finished')?.changes, 0);
  t.deepEqual(await startTimes(THREE_HOSTS), before);
  t.deepEqual(await onHosts(THREE_HOSTS, 'sha256sum /var/lib/slipway/state.json'), state);
  t.log(`second run: ${eventOf(finished, 'run-finished')?.seconds.toFixed(1)} s`);
});

test('provision lab, the whole of it once more, ends with 0 changes and how to go on', async t => {
  const {exitCode, stdout, stderr} = await provision(['lab']);
  t.is(exitCode, 0, stderr);
  t.regex(stdout, /^done: 0 changes in /m);
  t.regex(stdout, /provision kubectl get nodes/);
});
