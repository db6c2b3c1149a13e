import test from 'ava';
import {converge} from '#provisioner/actions/converge';
import {throwOutcome} from '#provisioner/actions/outcome';
import {Journal} from '#provisioner/journal/journal';
import {INIT_ACTION} from '#provisioner/plan/action-plan';
import {ProblemsError} from '#provisioner/problems-error';
import type {Role} from '#provisioner/role/role';
import {CodedError} from '#shared/errors';
import type {NodeObject} from '#shared/kube/object';
import {aCluster, aHost} from '#test/a-cluster';
import {aSite, type SiteOptions} from '#test/a-site';
import {temporaryFolder} from '#test/temporary-folder';

import {made, orderOf, prepare, ran, run, scriptsOf, single, TOKEN} from './fixture.ts';

test('one host: images, init, add-ons, proof; the token of init is revoked', async t => {
  const {tasks} = await prepare({cluster: single});
  const order = await orderOf(tasks);
  t.deepEqual(order.slice(0, 3), ['images@h1', 'addon-images@h1', 'init@h1']);
  t.is(order.at(-1), 'verify');
  t.true(order.includes('network-addon'));
  t.true(order.includes('revoke-token'));
  t.false(order.some(key => key.startsWith('join')));
});

test('three hosts: joins wait for the token, and the proof for everything', async t => {
  const {tasks} = await prepare();
  const order = await orderOf(tasks);
  const at = (key: string) => order.indexOf(key);
  for (const host of ['h2', 'h3']) {
    t.true(at(`images@${host}`) < at(`join@${host}`));
    t.true(at('join-token') < at(`join@${host}`));
    t.true(at(`join@${host}`) < at('revoke-token'));
  }
  t.true(at('init@h1') < at('join-token'));
  t.true(at('init@h1') < at('network-addon'));
  t.true(at('verify') > at('network-addon') && at('verify') > at('join@h3'));
});

const ours = aCluster({hosts: [aHost('h1', {isControlPlane: true, runtime: 'slipway'})]});

test('a host of our own runtime proves it between its images and kubeadm', async t => {
  const converged = await prepare({cluster: ours});
  const order = await orderOf(converged.tasks);
  t.deepEqual(order.slice(0, 4), ['images@h1', 'smoke@h1', 'addon-images@h1', 'init@h1']);
  await run(converged);
  const scripts = scriptsOf(converged.site, 'h1');
  const [pull, smoke] = ['slipway-cri pull', 'slipway-cri smoke start --image'].map(what =>
    scripts.findIndex(script => script.includes(what)),
  );
  t.true((pull ?? -1) > 0 && (pull ?? -1) < (smoke ?? -1));
  t.regex(scripts[smoke ?? -1] ?? '', /systemctl restart slipway-cri\.service/);
  t.false(scripts.some(script => /\bctr\b.*pull/.test(script)));
});

test('a runtime that fails its proof is not given to kubeadm', async t => {
  const converged = await prepare({
    cluster: ours,
    respond: ({script}) =>
      script.includes('smoke start') ? {exitCode: 1, stderr: 'no sandbox'} : undefined,
  });
  const {outcome} = await run(converged);
  t.like(outcome.hosts[0], {state: 'failed', phase: 'smoke', code: 'ERR_RUNTIME_SMOKE_FAILED'});
  t.false(ran(converged.site, 'h1', 'kubeadm init'));
});

const nodeOf: Role = {
  name: 'node',
  resources: () => [{kind: 'file', path: '/opt/slipway/bin/node', content: 'x', mode: 0o755}],
};

test('what was shipped is run once before anything depends on it', async t => {
  const rolesByPhase = {'runtime-artifacts': [nodeOf]};
  const order = await orderOf((await prepare({cluster: ours, rolesByPhase})).tasks);
  t.deepEqual(order.slice(0, 3), ['runtime-artifacts@h1', 'programs@h1', 'images@h1']);
  const other = await prepare({cluster: single, rolesByPhase});
  t.false(
    (await orderOf(other.tasks)).includes('programs@h1'),
    "containerd's hosts have none of it",
  );
  const {tasks} = await prepare({
    cluster: ours,
    respond: ({script}) =>
      script.includes('/opt/slipway/bin/conmon --version')
        ? {exitCode: 1, stderr: 'libglib-2.0.so.0: no such file'}
        : undefined,
  });
  const context = {signal: new AbortController().signal, progress: () => undefined};
  const check = tasks.find(({phase}) => phase === 'programs')?.run(context);
  await t.throwsAsync(async () => await check, {
    code: 'ERR_RUNTIME_PROGRAM_UNUSABLE',
    message: /libglib/,
  });
});

test('without a registry, images are sent over the connection of each host', async t => {
  for (const [cluster, command] of [
    [ours, 'slipway-cri image import -'],
    [single, 'ctr -n k8s.io images import -'],
  ] as const) {
    const converged = await prepare({cluster: {...cluster, registryUrl: undefined}});
    const {outcome} = await run(converged);
    t.deepEqual(outcome.errors, []);
    const runs = converged.site.connections.get('h1')?.runs ?? [];
    const sent = runs.filter(({script}) => script.includes(command));
    t.is(sent.length, 2, 'images, and those of add-ons');
    const pinned = sent.some(({script}) => script.includes('io.cri-containerd.pinned=pinned'));
    t.is(pinned, command.startsWith('ctr'), 'our daemon has their names in its configuration');
    t.false(runs.some(({script}) => /images pull|slipway-cri pull/.test(script)));
  }
});

test('with --limit the control plane does nothing, and the worker joins', async t => {
  const {tasks} = await prepare({states: {h1: made.h1, h2: made.h2}}, ['h3']);
  const order = await orderOf(tasks);
  t.false(order.some(key => key.endsWith('@h1') || key.endsWith('@h2')));
  t.true(order.indexOf('join-token') < order.indexOf('join@h3'));
  t.true(order.includes('verify'));
});

test('a cluster of 200 hosts is a valid graph', async t => {
  const workers = Array.from({length: 199}, (_, index) => aHost(`w${index}`));
  const cluster = aCluster({hosts: [aHost('h1', {isControlPlane: true}), ...workers]});
  const {tasks} = await prepare({cluster});
  t.is((await orderOf(tasks)).filter(key => key.startsWith('join@')).length, 199);
});

test('an undisturbed run makes members of all hosts, and says so on each', async t => {
  const converged = await prepare();
  const {outcome} = await run(converged);
  t.deepEqual(outcome.errors, []);
  t.deepEqual(outcome.hosts.map(({state}) => state), ['done', 'done', 'done']); // prettier-ignore
  const actions = converged.session.hosts.map(({record}) => Object.entries(record.state.actions));
  const words = actions.map(each => each.map(([name, {status}]) => `${name} ${status}`));
  t.deepEqual(words[0], ['kubeadm-init done', 'addon:flannel done', 'addon:cluster-dns done']);
  t.deepEqual(words.slice(1), [['kubeadm-join done'], ['kubeadm-join done']]);
  t.deepEqual(
    converged.calls.filter(call => call.includes('bootstrap-token')),
    // Once before all, once before each join: what a host gets may take longer than a token lives.
    [
      ...Array<string>(3).fill('apply Secret bootstrap-token-abcdef'),
      'delete Secret bootstrap-token-abcdef',
    ],
  );
  t.notThrows(() => {
    throwOutcome(outcome, {signal: new AbortController().signal});
  });
});

const initFails: SiteOptions = {
  respond: ({script}) => {
    if (script.includes('journalctl')) return 'kubelet line 1\nkubelet line 2\n';
    if (!script.includes('kubeadm init')) return undefined;
    const wall = Array.from({length: 300}, (_, i) => `[init] step ${i}`).join('\n');
    return {exitCode: 1, stdout: `${wall}\nerror: the port is taken\nTo see the stack trace of this error execute with --v=5 or higher\n`}; // prettier-ignore
  },
};

test('when init fails no join is tried, and the words of kubeadm and the kubelet are told', async t => {
  const converged = await prepare(initFails);
  const {outcome, results} = await run(converged);
  for (const host of ['h2', 'h3']) {
    t.false(ran(converged.site, host, 'kubeadm join'));
    t.is(results.get(`join@${host}`)?.kind, 'skipped');
  }
  t.is(results.get('verify')?.kind, 'skipped');
  const [error] = outcome.errors as readonly CodedError[];
  t.is(error?.code, 'ERR_KUBEADM_INIT_FAILED');
  const lines = error?.message.split('\n') ?? [];
  t.true(lines.includes('error: the port is taken') && lines.includes('kubelet line 2'));
  t.true(lines.length < 30, 'not a wall of text');
  t.notRegex(error?.message ?? '', /stack trace/);
  t.like(outcome.hosts, [
    {host: 'h1', state: 'failed', phase: 'init', code: 'ERR_KUBEADM_INIT_FAILED'},
    {host: 'h2', state: 'not-finished'},
    {host: 'h3', state: 'not-finished'},
  ]);
  t.is(converged.session.first.record.state.actions[INIT_ACTION]?.status, 'pending');
  t.throws(
    () => {
      throwOutcome(outcome, {signal: new AbortController().signal});
    },
    {code: 'ERR_KUBEADM_INIT_FAILED'},
  );
});

test('kubeadm is told to take lost+found for no data, where there is one', async t => {
  const told = async (facts: Readonly<Record<string, string>>) => {
    const converged = await prepare({cluster: single, facts: () => facts});
    await run(converged);
    const script = scriptsOf(converged.site, 'h1').find(each => each.includes('kubeadm init'));
    const document = /<<'__SLIPWAY__'\n([^_]+)/.exec(script ?? '')?.[1] ?? '';
    return Buffer.from(document, 'base64').toString().includes('DirAvailable--var-lib-etcd');
  };
  t.true(await told({'etcd-lost-found': 'yes'}));
  t.false(await told({}));
});

test('what an init left that failed is undone before the next one', async t => {
  const pending = {actions: {[INIT_ACTION]: {status: 'pending' as const, digest: 'x'}}};
  const converged = await prepare({cluster: single, states: {h1: pending}});
  await run(converged);
  const scripts = scriptsOf(converged.site, 'h1');
  const undo = scripts.findIndex(script => script.includes('kubeadm reset --force'));
  t.true(undo > 0);
  t.true(undo < scripts.findIndex(script => script.includes('kubeadm init')));
});

test('a join that fails leaves the others alone; the token is revoked all the same', async t => {
  const converged = await prepare({
    respond: ({script}, host) =>
      host === 'h2' && script.includes('kubeadm join') ? {exitCode: 1, stderr: 'error: no'} : undefined, // prettier-ignore
  });
  const {outcome, results} = await run(converged);
  t.deepEqual(outcome.hosts.map(({state}) => state), ['done', 'failed', 'done']); // prettier-ignore
  t.is(results.get('verify')?.kind, 'done');
  t.true(converged.calls.includes('delete Secret bootstrap-token-abcdef'));
  t.throws(
    () => {
      throwOutcome(outcome, {signal: new AbortController().signal});
    },
    {code: 'ERR_HOSTS_FAILED', message: /^1 of 3 hosts failed: h2 \(ERR_KUBEADM_JOIN_FAILED\)$/},
  );
});

const aNodeAt = (name: string, address: string, ready: 'True' | 'Unknown'): NodeObject => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: {name},
  status: {
    addresses: [{type: 'InternalIP', address}],
    conditions: [{type: 'Ready', status: ready}],
  },
});

test('a Node that an earlier join left goes; one that another machine runs is not taken', async t => {
  const converged = await prepare();
  const own = converged.plan.hosts.find(({host}) => host.name === 'h2')?.host.internalAddress ?? '';
  converged.nodes.set('h2', aNodeAt('h2', own, 'True'));
  converged.nodes.set('h3', aNodeAt('h3', '192.0.2.9', 'True'));
  const {outcome} = await run(converged);
  t.like(outcome.hosts[1], {host: 'h2', state: 'done'});
  t.like(outcome.hosts[2], {host: 'h3', state: 'failed', code: 'ERR_JOIN_NAME_TAKEN'});
  t.deepEqual(converged.calls.filter(call => call.startsWith('delete Node')), ['delete Node h2']); // prettier-ignore
  t.false(ran(converged.site, 'h3', 'kubeadm join'));
});

test('a Node of a machine that is gone is no obstacle', async t => {
  const converged = await prepare();
  converged.nodes.set('h3', aNodeAt('h3', '192.0.2.9', 'Unknown'));
  const {outcome} = await run(converged);
  t.deepEqual(outcome.errors, []);
  t.true(converged.calls.includes('delete Node h3'));
});

test('a proof that fails beside a host that fails is told: the cluster may not be sound', async t => {
  const converged = await prepare({
    respond: ({script}, host) =>
      host === 'h2' && script.includes('kubeadm join') ? {exitCode: 1, stderr: 'error: no'} : undefined, // prettier-ignore
  });
  const failing = new CodedError('ERR_PROOF_FAILED', 'not proven', {hint: 'look'});
  const tasks = converged.tasks.map(task =>
    task.phase === 'verify' ? {...task, run: () => Promise.reject(failing)} : task,
  );
  const {outcome} = await run({...converged, tasks});
  const error = t.throws(
    () => {
      throwOutcome(outcome, {signal: new AbortController().signal});
    },
    {instanceOf: ProblemsError},
  );
  t.deepEqual(error.problems.map(({code}) => code).sort(), ['ERR_KUBEADM_JOIN_FAILED', 'ERR_PROOF_FAILED']); // prettier-ignore
});

test('a host whose images do not come is out, the others go on', async t => {
  const converged = await prepare({
    respond: ({script}, host) =>
      host === 'h3' && script.includes('images pull') ? {exitCode: 1, stderr: 'no route to host'} : undefined, // prettier-ignore
  });
  const {outcome} = await run(converged);
  t.like(outcome.hosts[2], {state: 'failed', phase: 'images', code: 'ERR_IMAGE_PULL_FAILED'});
  t.false(ran(converged.site, 'h3', 'kubeadm join'));
  t.is(outcome.hosts[1]?.state, 'done');
});

test('a host that found another image than the registry had is out', async t => {
  const converged = await prepare({
    respond: ({script}, host) =>
      host === 'h3' && script.includes('images pull') ? 'images\tyes\nimage\tregistry.k8s.io/pause:3.10.2\tsha256:other\n' : undefined, // prettier-ignore
  });
  const {outcome} = await run(converged);
  t.like(outcome.hosts[2], {state: 'failed', phase: 'images', code: 'ERR_IMAGE_DIGEST_MISMATCH'});
});

test('an interrupt during init lets it end and keeps it; nothing else is begun', async t => {
  const abort = new AbortController();
  const converged = await prepare({
    respond: ({script}) => {
      if (script.includes('kubeadm init')) abort.abort(new Error('enough'));
      return undefined;
    },
  });
  const {outcome} = await run(converged, abort.signal);
  t.is(converged.session.first.record.state.actions[INIT_ACTION]?.status, 'done');
  t.false(ran(converged.site, 'h2', 'kubeadm join'));
  t.throws(
    () => {
      throwOutcome(outcome, abort);
    },
    {code: 'ERR_INTERRUPTED'},
  );
});

test('an interrupt while hosts are connected to is no defect, and nothing is planned', async t => {
  const signal = AbortSignal.abort(new Error('enough'));
  const {environment} = aSite({signal});
  const confirm = () => Promise.reject(new Error('asked'));
  await t.throwsAsync(converge(environment, {confirm}), {code: 'ERR_INTERRUPTED'});
});

test('a plan that is declined changes nothing', async t => {
  const site = aSite();
  const declined = new CodedError('ERR_DECLINED', 'declined', {hint: 'answer y'});
  const confirm = () => Promise.reject(declined);
  await t.throwsAsync(converge(site.environment, {confirm}), {code: 'ERR_DECLINED'});
  t.false([...site.connections.values()].some(({runs}) => runs.some(({script}) => script.includes('kubeadm init')))); // prettier-ignore
});

test('a run of members with other labels sets them and joins nobody', async t => {
  const [h1 = aHost('h1'), h2 = aHost('h2')] = aCluster().hosts;
  const cluster = aCluster({hosts: [h1, {...h2, labels: {disk: 'ssd'}}]});
  const converged = await prepare({cluster, states: made});
  await run(converged);
  t.true(converged.calls.includes('patch Node h2'));
  t.false(converged.calls.some(call => call.includes('bootstrap-token')));
  t.false(ran(converged.site, 'h2', 'kubeadm join'));
});

test('every host of a run is locked before its facts are read', async t => {
  const {site} = await prepare();
  for (const [, connection] of site.connections) t.is(connection.locks.length, 1);
});

/** Texts that travel as base64 in here-documents, decoded. */
const documentsOf = (script: string): readonly string[] =>
  [...script.matchAll(/<<'__SLIPWAY__'\n([^]*?)\n__SLIPWAY__/g)].map(([, text = '']) =>
    Buffer.from(text, 'base64').toString(),
  );

test('the token is in the files for kubeadm only: not in state.json, plan, events or journal', async t => {
  for (const options of [{}, initFails]) {
    const converged = await prepare(options);
    const {outcome} = await run(converged);
    let carriers = 0;
    for (const [, {runs}] of converged.site.connections) {
      for (const {script} of runs) {
        t.false(script.includes(TOKEN));
        t.notRegex(documentsOf(script).filter(text => text.startsWith('{')).join(''), /abcdef/); // prettier-ignore
        if (documentsOf(script).some(text => text.includes(TOKEN))) {
          carriers++;
          t.regex(script, /umask 077; base64 -d > "\$directory\/kubeadm\.yaml"/);
          t.regex(script, /trap 'rm -f \/run\/slipway\/kubeadm\.yaml.*' EXIT/);
        }
      }
    }
    t.true(carriers > 0);
    await using folder = await temporaryFolder();
    const journal = new Journal({
      directory: folder.path,
      cluster: 'lab',
      now: new Date(0),
      warn: () => undefined,
    });
    for (const event of converged.site.events) journal.append(event, new Date(0));
    await journal.writePlan(converged.plan.lines);
    const told = JSON.stringify([converged.site.events, converged.plan.lines, outcome, converged.session.token]); // prettier-ignore
    const errors = (outcome.errors as readonly CodedError[]).map(
      ({message, hint}) => message + hint,
    );
    t.notRegex(told + errors.join(''), /abcdef|0123456789abcdef/);
  }
});
