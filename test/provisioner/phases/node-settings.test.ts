import test from 'ava';
import {emptyHostState} from '#provisioner/host-state/host-state';
import {HostRecord} from '#provisioner/host-state/host-record';
import {applyNodeSettings} from '#provisioner/phases/node-settings';
import type {ClusterSession} from '#provisioner/phases/session';
import {NODE_SETTINGS_ACTION} from '#provisioner/plan/action-plan';
import type {Taint} from '#provisioner/role/cluster';
import type {KubernetesObject} from '#shared/kube/object';
import {aHost} from '#test/a-cluster';
import {FakeConnection} from '#test/fake-connection';
import {createFakeKubernetes, refuse} from '#test/fake-kubernetes';
import {someFacts} from '#test/some-facts';

const {signal} = new AbortController();
const taint = (key: string): Taint => ({key, value: '', effect: 'NoSchedule'});
const node = (taints: readonly Taint[], labels = {}): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: {name: 'h2', labels},
  spec: {taints},
});

function aRun(present: KubernetesObject, onPatch: (attempt: number) => 'conflict' | 'take') {
  const patches: {metadata: {resourceVersion?: string}; spec: {taints: Taint[]}}[] = [];
  const kubernetes = createFakeKubernetes({
    objects: [present],
    intercept: ({method, path, body}) => {
      if (method !== 'PATCH' || !path.includes('/nodes/h2')) return undefined;
      patches.push(JSON.parse(body?.text ?? '{}') as (typeof patches)[number]);
      return onPatch(patches.length) === 'conflict' ? refuse(409, 'Conflict') : undefined;
    },
  });
  const connection = new FakeConnection();
  const host = aHost('h2', {labels: {disk: 'ssd'}, taints: [taint('ours')]});
  const record = new HostRecord(connection, emptyHostState('lab'));
  const session = {api: () => Promise.resolve(kubernetes.api)} as unknown as ClusterSession;
  const run = () =>
    applyNodeSettings(session, {host, connection, record, facts: someFacts()}, {signal});
  return {run, patches, kubernetes, record};
}

test('labels and taints are set beside those of others, on the node that was read', async t => {
  const {run, patches, kubernetes, record} = aRun(node([taint('theirs')]), () => 'take');
  t.is(await run(), 1);
  const [patch] = patches;
  t.truthy(patch?.metadata.resourceVersion);
  t.deepEqual(patch?.spec.taints.map(({key}) => key), ['theirs', 'ours']); // prettier-ignore
  t.like(kubernetes.objects()[0], {metadata: {labels: {disk: 'ssd'}}});
  t.is(record.state.actions[NODE_SETTINGS_ACTION]?.status, 'done');
});

test('a taint that somebody sets meanwhile is kept', async t => {
  const {run, patches, kubernetes} = aRun(node([]), attempt => {
    if (attempt > 1) return 'take';
    kubernetes.put(node([taint('not-ready')]));
    return 'conflict';
  });
  await run();
  t.deepEqual(patches.map(({spec}) => spec.taints.map(({key}) => key)), [['ours'], ['not-ready', 'ours']]); // prettier-ignore
});

test('a node that changes for ever is given up', async t => {
  const {run, patches, record} = aRun(node([]), () => 'conflict');
  await t.throwsAsync(run(), {code: 'ERR_API_REFUSED'});
  t.is(patches.length, 10);
  t.is(record.state.actions[NODE_SETTINGS_ACTION], undefined);
});
