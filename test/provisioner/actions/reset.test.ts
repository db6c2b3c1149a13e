import test from 'ava';
import {reset} from '#provisioner/actions/reset';
import type {HostState} from '#provisioner/host-state/host-state';
import {INIT_ACTION, JOIN_ACTION} from '#provisioner/plan/action-plan';
import {aSite, type Site, type SiteOptions} from '#test/a-site';

const done = {status: 'done' as const, digest: 'x'};
const state = (action: string, ...ids: readonly string[]): Partial<HostState> => ({
  actions: {[action]: done},
  resources: Object.fromEntries(ids.map(id => [id, {digest: 'x'}])),
});
const ours = 'unit:slipway-cri.service';
const theirs = 'unit:containerd.service';
const states = {
  h1: state(INIT_ACTION, ours, 'directory:/opt/slipway/lib', 'artifact:/opt/slipway/lib/x'),
  h2: state(JOIN_ACTION, theirs),
  h3: state(JOIN_ACTION, theirs),
};
const confirm = () => Promise.resolve();
const scripts = ({connections}: Site, host: string): readonly string[] =>
  (connections.get(host)?.runs ?? []).map(({script}) => script);

test('workers go first, and every host is undone with the runtime that it has', async t => {
  const site = aSite({states});
  const {hosts} = await reset(site.environment, {confirm});
  t.deepEqual(hosts.map(({state: each}) => each), ['done', 'done', 'done']); // prettier-ignore
  const undo = (host: string) =>
    scripts(site, host).find(script => script.includes('kubeadm reset --force')) ?? '';
  // The inventory says containerd for all of them; what is there counts.
  t.true(undo('h1').includes('--cri-socket unix:///run/slipway/cri.sock '));
  t.true(undo('h2').includes('--cri-socket unix:///run/containerd/containerd.sock '));
});

test('the daemon ends its pods while it is there, and nothing of it remains', async t => {
  const site = aSite({states});
  await reset(site.environment, {confirm});
  const own = scripts(site, 'h1');
  const at = (what: string) => own.findIndex(script => script.includes(what));
  t.true(at('kubeadm reset') < at('slipway-cri reset'));
  t.true(at('slipway-cri reset') < at('disable --now slipway-cri.service'));
  const last = own.at(-1) ?? '';
  t.regex(last, /rm -rf --one-file-system -- .*\/run\/slipway\/cri \/var\/lib\/slipway\/cri/);
  t.notRegex(last, /containerd-shim/);
  const removal = own[at('disable --now slipway-cri.service')] ?? '';
  t.true(removal.indexOf('rm -f -- /opt/slipway/lib/x') < removal.indexOf('rmdir'), 'files first');
  t.false(scripts(site, 'h2').some(script => script.includes('slipway-cri reset')));
});

const limited = (limit: readonly string[], more: SiteOptions = {}) =>
  aSite({states, options: {limit}, ...more});

test('the only control plane is not taken away from hosts that have joined it', async t => {
  const site = limited(['h1']);
  await t.throwsAsync(reset(site.environment, {confirm}), {
    code: 'ERR_RESET_LEAVES_NODES',
    message: /h2, h3/,
  });
  t.false(scripts(site, 'h1').some(script => script.includes('kubeadm reset')));
  await t.throwsAsync(reset(limited(['h1', 'h2']).environment, {confirm}), {
    code: 'ERR_RESET_LEAVES_NODES',
    message: /, and h3 would/,
  });
});

test('a host that cannot be asked may have joined', async t => {
  const site = limited(['h1', 'h2'], {facts: ({name}) => (name === 'h3' ? undefined : {})});
  await t.throwsAsync(reset(site.environment, {confirm}), {code: 'ERR_RESET_LEAVES_NODES'});
});

test('a control plane alone, and workers alone, are reset', async t => {
  const alone = limited(['h1'], {states: {h1: states.h1}});
  t.deepEqual((await reset(alone.environment, {confirm})).errors, []);
  const workers = limited(['kube_node']);
  const {hosts} = await reset(workers.environment, {confirm});
  t.deepEqual(hosts.map(({host}) => host), ['h2', 'h3']); // prettier-ignore
  t.false(workers.connections.has('h1'));
});
