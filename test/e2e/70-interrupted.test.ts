/**
 * Hosts are reset to what they were, then a whole installation is stopped again and again, each
 * time a little later, and the same command goes on from there until the cluster is proven.
 */
import test, {type ExecutionContext} from 'ava';
import {
  eventOf, type Finished, provision, type RunningProvision, startProvision,
} from '#test/e2e/command-line'; // prettier-ignore
import {differencesToSaved, THREE_HOSTS} from '#test/e2e/saved-snapshots';
import {spoiledCache} from '#test/e2e/spoiled-cache';
import {CLUSTER, lab, must, onHost, onHosts, removeFromInventory} from '#test/e2e/the-lab';

const APPLY = [CLUSTER, '--yes', '--output', 'json'];
const NFT = '/root/e2e-nft';
const {signal} = new AbortController();

interface Validated {
  readonly hosts: readonly string[];
}

test.before('a cluster of three hosts', async () => {
  await must([CLUSTER, '--yes']);
  const {hosts} = JSON.parse((await must(['validate', '--output', 'json'])).stdout) as Validated;
  if (!hosts.includes('h4')) return;
  await must(['reset', '--limit', 'h4', '--yes']); // three hosts are enough for what follows
  await removeFromInventory('h4');
});

test('reset brings hosts back to what they were: packages, units, links, files, rules', async t => {
  // nftables came with us and goes with us: a copy of it reads the rules afterwards.
  await onHosts(
    THREE_HOSTS,
    `mkdir -p ${NFT} && cp "$(command -v nft)" $(ldd "$(command -v nft)" | awk '/=> \\//{print $3}') ${NFT}`,
  );
  const finished = await provision(['reset', '--yes', '--output', 'json']);
  t.is(finished.exitCode, 0, finished.stderr);
  t.deepEqual(await differencesToSaved(THREE_HOSTS), []);
  const rules = await onHosts(THREE_HOSTS, `LD_LIBRARY_PATH=${NFT} ${NFT}/nft list ruleset`);
  t.deepEqual(rules, Object.fromEntries(THREE_HOSTS.map(host => [host, ''])));
  const again = await provision(['reset', '--yes', '--output', 'json']);
  t.is(again.exitCode, 0, again.stderr);
  t.is(eventOf(again, 'run-finished')?.changes, 0);
});

test('bytes that are not those of the lock file are refused on arrival', async t => {
  const env = await spoiledCache('runc');
  const finished = await provision(APPLY, {env});
  t.is(finished.exitCode, 14, finished.stderr);
  t.deepEqual(hostsOf(finished), [
    'h1 failed ERR_ARTIFACT_CHECKSUM_ON_HOST',
    'h2 failed ERR_ARTIFACT_CHECKSUM_ON_HOST',
    'h3 failed ERR_ARTIFACT_CHECKSUM_ON_HOST',
  ]);
  const left = await onHosts(THREE_HOSTS, 'ls /usr/local/bin');
  t.deepEqual(Object.values(left), ['', '', ''], 'nothing of them stays');
});

test('killed with -9 while it pushes', async t => {
  const running = startProvision(APPLY);
  await running.event(isPushing('h2'));
  t.is((await running.kill('SIGKILL')).exitCode, 137);
});

test('a full disk, a host without power and a registry that is gone, each named on its host', async t => {
  await onHost('h3', 'mount -t tmpfs -o size=64m tmpfs /usr/local/bin');
  const running = startProvision(APPLY);
  await running.event(isPushing('h2'));
  running.pause(); // or the other hosts would be done with their images meanwhile
  await lab.fault('crash', 'h2', signal);
  await lab.fault('start', 'h2', signal);
  running.resume();
  await running.event(event => event.type === 'task-started' && event.phase === 'images');
  await lab.stopRegistry(signal);
  const finished = await running.ended;
  await lab.startRegistry(signal);
  await onHost('h3', 'umount /usr/local/bin');
  t.deepEqual(hostsOf(finished), [
    'h1 failed ERR_IMAGE_PULL_FAILED',
    'h2 failed ERR_CONNECTION_LOST',
    'h3 failed ERR_DISK_FULL',
  ]);
  t.is(finished.exitCode, 12, finished.stderr);
});

for (const [when, text] of [
  ['before the kubelet starts', /kubeconfig/],
  ['while it waits for the API server', /kubelet-start|wait-control-plane|kubelet-check/],
] as const) {
  test(`killed with -9 in kubeadm init, ${when}`, async t => {
    const running = startProvision(APPLY);
    await running.event(isKubeadm('h1', 'init', text));
    t.is((await running.kill('SIGKILL')).exitCode, 137);
  });
}

test("kubeadm's own message and the kubelet's last lines are shown, and no host joins", async t => {
  const running = startProvision(APPLY);
  await running.event(event => event.type === 'task-started' && event.phase === 'init');
  await onHost('h1', 'sysctl -qw net.ipv4.ip_forward=0'); // kubeadm looks at it, too
  const finished = await running.ended;
  t.is(finished.exitCode, 17, finished.stderr);
  t.deepEqual(finished.codes, ['ERR_KUBEADM_INIT_FAILED']);
  t.regex(finished.stderr, /\[ERROR FileContent--proc-sys-net-ipv4-ip_forward\]/);
  t.regex(finished.stderr, /The kubelet's last lines:\n/);
  t.true(finished.stderr.split('\n').length < 40, 'a wall of text');
  const joined = finished.events.some(e => e.type === 'task-started' && e.phase === 'join');
  t.false(joined);
  t.deepEqual(hostsOf(finished), [
    'h1 failed ERR_KUBEADM_INIT_FAILED',
    'h2 not-finished ',
    'h3 not-finished ',
  ]);
});

test('Ctrl-C ends with 130: what was begun is finished, no host stays locked', async t => {
  const running = startProvision(APPLY.slice(0, 2)); // for people: with a table at the end
  await running.line(/^plan: \d+ changes/);
  const finished = await running.kill('SIGINT');
  t.is(finished.exitCode, 130, finished.stderr);
  t.deepEqual(finished.codes, ['ERR_INTERRUPTED']);
  t.regex(finished.stdout, /^HOST +STATE +CHANGES +STOPPED AT/m);
  t.regex(finished.stdout, /^h1 +not finished/m);
  const planned = await provision(['plan', '--output', 'json']); // takes no lock, sees a sound host
  t.is(planned.exitCode, 0, planned.stderr);
});

test('killed with -9 in a join', async t => {
  const running = startProvision(APPLY);
  await running.event(isKubeadm('h2', 'join', /kubelet-start|kubelet-check/));
  t.is((await running.kill('SIGKILL')).exitCode, 137);
});

test('the same command finishes the job, with a proof, and finds nothing to do after it', async t => {
  const finished = await provision(APPLY);
  t.is(finished.exitCode, 0, finished.stderr);
  t.deepEqual(hostsOf(finished), ['h1 done ', 'h2 done ', 'h3 done ']);
  const again = await provision(APPLY);
  t.is(again.exitCode, 0, again.stderr);
  t.is(eventOf(again, 'run-finished')?.changes, 0);
  assertNothingPending(t, await onHosts(THREE_HOSTS, 'cat /var/lib/slipway/state.json'));
});

function assertNothingPending(t: ExecutionContext, states: Readonly<Record<string, string>>): void {
  for (const [host, text] of Object.entries(states)) {
    const state = JSON.parse(text) as {readonly pending: readonly string[]};
    t.deepEqual(state.pending, [], host);
    t.notRegex(text, /"status":"pending"/, host);
  }
}

/** The table of hosts, as `host state code`. */
function hostsOf(finished: Finished): readonly string[] {
  const hosts = eventOf(finished, 'run-finished')?.hosts ?? [];
  return hosts.map(({host, state, code = ''}) => `${host} ${state} ${code}`);
}

type Fits = Parameters<RunningProvision['event']>[0];

const isPushing =
  (host: string): Fits =>
  event =>
    event.type === 'task-progress' && event.host === host && event.text.startsWith('pushing');

const isKubeadm =
  (host: string, phase: string, text: RegExp): Fits =>
  event =>
    event.type === 'task-progress' &&
    event.host === host &&
    event.phase === phase &&
    text.test(event.text);
