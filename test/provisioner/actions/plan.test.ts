import {setImmediate as turn} from 'node:timers/promises';
import test from 'ava';
import {rolesByPhase} from '#roles';
import {openHosts} from '#provisioner/actions/open-hosts';
import {planCluster} from '#provisioner/actions/plan';
import {selectHosts} from '#provisioner/actions/select-hosts';
import {FACTS_SCRIPT} from '#provisioner/facts/facts-script';
import {INIT_ACTION, JOIN_ACTION} from '#provisioner/plan/action-plan';
import {ProblemsError} from '#provisioner/problems-error';
import {loadTemplates} from '#provisioner/template/templates';
import {isCoded} from '#shared/errors';
import {aCluster, aHost} from '#test/a-cluster';
import {aSite, digestOfImage, type Site} from '#test/a-site';

const templates = new URL('../../../templates', import.meta.url).pathname;
const render = await loadTemplates(templates);
const member = (action: string) => ({
  actions: {[action]: {status: 'done' as const, digest: 'x'}},
});
const joined = {h1: member(INIT_ACTION), h2: member(JOIN_ACTION), h3: member(JOIN_ACTION)};

async function planOf({environment}: Site, limit: readonly string[] = []) {
  const selected = selectHosts(environment.cluster, limit);
  const names = new Set(selected.map(({name}) => name));
  const reached = environment.cluster.hosts.filter(
    host => host.isControlPlane || names.has(host.name),
  );
  await using open = await openHosts(environment, reached, {lock: false});
  return await planCluster(environment, open, names);
}

const codesOf = (error: unknown) =>
  error instanceof ProblemsError
    ? error.problems.map(({code}) => code)
    : [isCoded(error) ? error.code : ''];

test('200 bare hosts are planned in one process: each in two round trips, each on its own', async t => {
  const workers = Array.from({length: 199}, (_, index) =>
    aHost(`w${index}`, {internalAddress: `10.90.${Math.floor(index / 200)}.${index + 1}`}),
  );
  const cluster = aCluster({
    hosts: [aHost('c1', {isControlPlane: true, isWorker: false}), ...workers],
    registryUrl: 'http://10.89.0.2:5000',
  });
  const site = aSite({cluster, rolesByPhase, render, options: {forks: 200}});
  const plan = await planOf(site);
  t.is(plan.hosts.length, 200);
  t.is(plan.first.host.name, 'c1');
  t.is(site.requests(), 400);
  for (const [, connection] of site.connections) {
    t.is(connection.runs[0]?.script, FACTS_SCRIPT);
    t.true((connection.runs[1]?.script.length ?? Infinity) < 16_000);
  }
  const counts = new Set(plan.lines.slice(1, 200).map(({changes}) => changes.length));
  t.is(counts.size, 1, 'workers are alike');
  t.deepEqual([...plan.actions.values()].filter(({init}) => init).map(({host}) => host), ['c1']); // prettier-ignore
  t.is([...plan.actions.values()].filter(({join}) => join).length, 199);
  const [first, second] = ['w0', 'w198'].map(name => JSON.stringify(plan.lines.find(({host}) => host === name)).replaceAll(/10\.90\.0\.\d+|w\d+/g, '')); // prettier-ignore
  t.is(first, second);
});

test('forks limit how many hosts are asked at the same time', async t => {
  let busy = 0;
  let busyMax = 0;
  const hosts = [aHost('c1', {isControlPlane: true}), ...Array.from({length: 20}, (_, i) => aHost(`w${i}`))]; // prettier-ignore
  const site = aSite({
    cluster: aCluster({hosts}),
    options: {forks: 3},
    respond: async ({script}) => {
      if (script !== FACTS_SCRIPT) return undefined;
      busyMax = Math.max(busyMax, ++busy);
      await turn();
      busy--;
      return undefined;
    },
  });
  await planOf(site);
  t.is(busyMax, 3);
});

test('a member with nothing to change has an empty plan, and no image is asked for', async t => {
  const actions = {
    ...joined.h1.actions,
    'addon:flannel': {status: 'done' as const, digest: ''},
    'addon:cluster-dns': {status: 'done' as const, digest: ''},
  };
  const bare = await planOf(aSite());
  for (const addon of bare.addons) actions[`addon:${addon.name}`].digest = addon.digest;
  const site = aSite({states: {...joined, h1: {actions}}, missingImages: ['everything']});
  const plan = await planOf(site);
  t.deepEqual(plan.lines, []);
  t.is(plan.changes, 0);
});

test('a loopback name server is refused only where cluster DNS forwards to it', async t => {
  const facts = (byHost: Readonly<Record<string, string>>) => ({
    facts: ({name}: {readonly name: string}) => ({nameserver: byHost[name] ?? '10.0.0.1'}),
  });
  const error = await t.throwsAsync(planOf(aSite(facts({h2: '127.0.0.1'}))));
  t.deepEqual(codesOf(error), ['ERR_PREFLIGHT_NAME_SERVERS']);
  t.regex(error.message, /h2: \[NameServers\] 127\.0\.0\.1/);
  await t.notThrowsAsync(planOf(aSite(facts({h1: '127.0.0.1', h2: '127.0.0.1'}))));
});

test('that pods resolve no names outside the cluster is said when it comes to be', async t => {
  const messages = async (options: Parameters<typeof aSite>[0]) => {
    const site = aSite(options);
    const plan = await planOf(site);
    return {plan, told: site.events.filter(({type}) => type === 'message')};
  };
  t.deepEqual((await messages({})).told, []);
  const facts = () => ({nameserver: '127.0.0.1'});
  const {plan, told} = await messages({facts});
  t.is(told.length, 1);
  t.regex(JSON.stringify(told), /names outside the cluster are not resolved in pods: /);
  const done = plan.addons.map(
    ({name, digest}) => [`addon:${name}`, {status: 'done' as const, digest}] as const,
  );
  const actions = {...joined.h1.actions, ...Object.fromEntries(done)};
  t.deepEqual((await messages({facts, states: {...joined, h1: {actions}}})).told, []);
});

test('an add-on that was begun and not ended is applied again', async t => {
  const bare = await planOf(aSite());
  const [flannel] = bare.addons;
  const begun = {'addon:flannel': {status: 'pending' as const, digest: flannel?.digest ?? ''}};
  const states = {...joined, h1: {actions: {...joined.h1.actions, ...begun}}};
  const plan = await planOf(aSite({states}));
  t.deepEqual(
    plan.lines.flatMap(({changes}) => changes.map(({id}) => id)),
    ['addon:flannel', 'addon:cluster-dns'],
  );
});

test('with --limit only the named host is planned; the control plane is elected all the same', async t => {
  const site = aSite({states: {h1: joined.h1}});
  const plan = await planOf(site, ['h3']);
  t.deepEqual(plan.hosts.map(({host}) => host.name), ['h3']); // prettier-ignore
  t.is(plan.first.host.name, 'h1');
  t.deepEqual([...plan.actions.keys()], ['h3']);
  t.false(site.connections.has('h2'));
});

test('a worker alone cannot be joined to a cluster that is not made', async t => {
  const site = aSite();
  await t.throwsAsync(planOf(site, ['h3']), {code: 'ERR_CLUSTER_ABSENT'});
});

test('hosts that are not reached and hosts that are not fit are told together', async t => {
  const site = aSite({
    facts: ({name}) => (name === 'h2' ? undefined : name === 'h3' ? {cpus: '1', systemd: 'no', arch: 's390x'} : {}), // prettier-ignore
  });
  const error = await t.throwsAsync(planOf(site));
  t.deepEqual(codesOf(error), [
    'ERR_HOST_UNREACHABLE',
    'ERR_PREFLIGHT_ARCHITECTURE',
    'ERR_PREFLIGHT_SYSTEMD',
  ]);
});

test('facts that cannot be read name their host', async t => {
  const respond = ({script}: {readonly script: string}, host: string) =>
    host === 'h2' && script === FACTS_SCRIPT ? {exitCode: 1, stderr: 'sh: awk: not found'} : undefined; // prettier-ignore
  await t.throwsAsync(planOf(aSite({respond})), {
    code: 'ERR_HOST_FACTS_FAILED',
    message: /^h2: .*awk: not found/,
  });
});

test('an image that the registry lacks is refused before anything is changed', async t => {
  const missingImages = ['registry.k8s.io/pause:3.10.2'];
  const site = aSite({missingImages});
  await t.throwsAsync(planOf(site), {code: 'ERR_IMAGE_MISSING', message: /pause:3\.10\.2/});
  t.false([...site.connections.values()].some(({runs}) => runs.some(({script}) => script.includes('put '))) ); // prettier-ignore
});

test('an image that is not the locked one is refused before anything is changed', async t => {
  const pause = 'registry.k8s.io/pause:3.10.2';
  const site = aSite({lockedDigests: {[pause]: ['sha256:other']}});
  await t.throwsAsync(planOf(site), {code: 'ERR_IMAGE_DIGEST_MISMATCH', message: /pause:3\.10\.2/}); // prettier-ignore
  const either = aSite({lockedDigests: {[pause]: ['sha256:other', digestOfImage(pause)]}});
  const plan = await planOf(either);
  t.is(plan.imageDigests.get(pause), digestOfImage(pause));
  t.false(either.locked.has(pause));
  t.true(either.locked.has('registry.k8s.io/kube-apiserver:v1.36.3'), 'it was not locked yet');
});

test('another value of a key that only init reads is refused', async t => {
  const keys = {'spec.network.podCIDR': '10.99.0.0/16'};
  const init = {status: 'done' as const, digest: 'x', keys};
  const site = aSite({states: {...joined, h1: {actions: {[INIT_ACTION]: init}}}});
  await t.throwsAsync(planOf(site), {code: 'ERR_INIT_KEY_CHANGED', message: /spec\.network\.podCIDR/}); // prettier-ignore
});

test('--limit does not hide that the control plane is of another cluster, or that its keys changed', async t => {
  const foreign = {...joined.h1, cluster: 'production'};
  await t.throwsAsync(planOf(aSite({states: {...joined, h1: foreign}}), ['h3']), {
    code: 'ERR_PREFLIGHT_OTHER_CLUSTER',
    message: /^h1: /,
  });
  const keys = {'spec.network.podCIDR': '10.99.0.0/16'};
  const init = {status: 'done' as const, digest: 'x', keys};
  const site = aSite({states: {...joined, h1: {actions: {[INIT_ACTION]: init}}}});
  await t.throwsAsync(planOf(site, ['h3']), {code: 'ERR_INIT_KEY_CHANGED'});
});

test('--limit takes hosts and groups, and refuses anything else with the choice', t => {
  const cluster = aCluster();
  const names = (...limit: string[]) => selectHosts(cluster, limit).map(({name}) => name);
  t.deepEqual(names(), ['h1', 'h2', 'h3']);
  t.deepEqual(names('h3', 'h1'), ['h1', 'h3']);
  t.deepEqual(names('kube_node', 'h1'), ['h1', 'h2', 'h3']);
  const error = t.throws(() => names('h9', 'h1', 'kube_nod'), {code: 'ERR_LIMIT_UNKNOWN'});
  t.regex(error.message, /h9, kube_nod/);
  t.is(isCoded(error) ? error.hint : '', 'choose among h1, h2, h3, kube_control_plane, kube_node');
});
