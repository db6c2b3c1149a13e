/** A host is added: it joins, with another container runtime, and no other host is touched. */
import test from 'ava';
import {run} from '#shared/local-process';
import {eventOf, startProvision} from '#test/e2e/command-line';
import {THREE_HOSTS} from '#test/e2e/saved-snapshots';
import {startTimes} from '#test/e2e/start-times';
import {CLUSTER, eventually, must, onHosts, setRuntime} from '#test/e2e/the-lab';

test.before('a cluster', async () => {
  await must([CLUSTER, '--yes']);
});

test('lab up --hosts 4 adds a host, and one more run of the same command makes it a node', async t => {
  const state = await onHosts(THREE_HOSTS, 'cat /var/lib/slipway/state.json');
  const before = await startTimes(THREE_HOSTS);
  await must(['lab', 'up', '--hosts', '4']);
  await setRuntime('h4', 'containerd');
  const running = startProvision([CLUSTER, '--yes', '--output', 'json']);
  // On the way the cable is out for a moment: TCP sends again, and nothing is lost.
  await running.event(event => event.type === 'task-progress' && event.text.startsWith('pushing'));
  await must(['lab', 'cut', 'h4']);
  await eventually(async () => ((await isSendingAgain('10.89.0.14')) ? true : undefined));
  await must(['lab', 'heal', 'h4']);
  const finished = await running.ended;
  t.is(finished.exitCode, 0, finished.stderr);
  const planned = eventOf(finished, 'plan')?.hosts.map(({host}) => host);
  t.deepEqual(planned, ['h4']);
  t.deepEqual(await onHosts(THREE_HOSTS, 'cat /var/lib/slipway/state.json'), state);
  t.deepEqual(await startTimes(THREE_HOSTS), before);
  const {stdout} = await must(['kubectl', 'get', 'nodes', '--output', 'name']);
  t.is(stdout, 'node/h1\nnode/h2\nnode/h3\nnode/h4');
  const runtimes = 'jsonpath={..status.nodeInfo.containerRuntimeVersion}';
  const kinds = (await must(['kubectl', 'get', 'nodes', '--output', runtimes])).stdout;
  t.regex(kinds, /^(slipway:\S+ ){3}containerd:\S+$/);
  t.log(`one more worker: ${eventOf(finished, 'run-finished')?.seconds.toFixed(1)} s`);
});

/** True while the kernel sends the same segments to a host again and again. */
async function isSendingAgain(address: string): Promise<boolean> {
  const {signal} = new AbortController();
  const {stdout} = await run(['ss', '--tcp', '--info', 'dst', address], {signal});
  return /backoff:[1-9]/.test(stdout);
}
