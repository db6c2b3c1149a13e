/** What is refused before any change, on three bare hosts that stay bare. */
import test from 'ava';
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {run} from '#shared/local-process';
import {parseReference} from '#shared/oci/reference';
import {imageCatalogue} from '#artifacts/images/image-catalogue';
import {provision} from '#test/e2e/command-line';
import {aliasBomb, assertRefused, provisionVariant} from '#test/e2e/refusal';
import {differencesToSaved, saveSnapshots, THREE_HOSTS} from '#test/e2e/saved-snapshots';
import {CLUSTER, FOLDER, must, onHost, onHosts, raiseLab} from '#test/e2e/the-lab';

const {signal} = new AbortController();
const REGISTRY = 'http://10.89.0.2:5000';

test.before('three bare hosts, each with a user that may not become root', async () => {
  await raiseLab(3);
  await onHosts(THREE_HOSTS, 'id nosudo >/dev/null 2>&1 || useradd --create-home nosudo');
  await saveSnapshots(THREE_HOSTS);
});

const CONFIGURATIONS: Readonly<Record<string, Parameters<typeof provisionVariant>[0] & Refusal>> = {
  'an unknown key': {
    cluster: {'spec.netwrok': {podCIDR: '10.200.0.0/16'}},
    codes: ['ERR_CONFIG_UNKNOWN_KEY'],
    says: /e2e-refused\.yaml:\d+:\d+ spec\.netwrok: [^\n]*did you mean "network"/,
  },
  'what is not YAML': {
    text: 'spec: {kubernetes: [\n',
    codes: ['ERR_YAML_INVALID'],
    says: /e2e-refused\.yaml:\d+/,
  },
  'an alias bomb': {text: aliasBomb(), codes: ['ERR_YAML_LIMIT'], says: /alias/},
  'an address that two hosts have': {
    hosts: {'all.hosts.h2.address': '10.89.0.11'},
    codes: ['ERR_CONFIG_DUPLICATE_ADDRESS'],
    says: /10\.89\.0\.11/,
  },
  'networks that overlap': {
    cluster: {'spec.network.podCIDR': '10.96.0.0/16'},
    codes: ['ERR_CONFIG_CIDR_OVERLAP'],
    says: /10\.96\.0\.0/,
  },
  'hosts without a control plane': {
    hosts: {
      'all.children.kube_control_plane.hosts': {},
      'all.children.kube_node.hosts.h1': {},
    },
    codes: ['ERR_CONFIG_NO_CONTROL_PLANE'],
    says: /kube_control_plane/,
  },
  'two control planes': {
    hosts: {'all.children.kube_control_plane.hosts': {h1: {}, h2: {}}},
    codes: ['ERR_CONTROL_PLANES_UNSUPPORTED'],
    says: /h1, h2|2/,
  },
  'several mistakes, all of them at once': {
    cluster: {'spec.network.podCIDR': 'ten', 'spec.kubernetes.version': '9.9.9'},
    codes: ['ERR_CONFIG_INVALID'],
    says: /spec\.kubernetes\.version[^]*spec\.network\.podCIDR/,
  },
};

interface Refusal {
  readonly codes: readonly string[];
  readonly says: RegExp;
}

for (const [title, {codes, says, ...variant}] of Object.entries(CONFIGURATIONS)) {
  test(`cluster.yaml: ${title} is refused without a network`, async t => {
    const finished = await provisionVariant(variant);
    assertRefused(t, finished, {exitCode: 10, codes});
    t.regex(finished.stderr, says);
    t.deepEqual(finished.events, []);
  });
}

test('an unreachable host is named, with all other problems of all other hosts', async t => {
  const otherKey =
    'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f';
  const finished = await provisionVariant({
    cluster: {'spec.preflight.memoryMinimum': '900Gi'},
    hosts: {
      'all.hosts.h9': {address: '10.89.0.99', hostKey: otherKey},
      'all.children.kube_node.hosts.h9': {},
      'all.hosts.h2.hostKey': otherKey,
    },
  });
  const codes = [
    'ERR_HOST_UNREACHABLE', 'ERR_HOST_KEY_MISMATCH', 'ERR_PREFLIGHT_MEMORY', 'ERR_PREFLIGHT_MEMORY',
  ]; // prettier-ignore
  assertRefused(t, finished, {exitCode: 12, codes});
  t.regex(finished.stderr, /ERR_HOST_UNREACHABLE: [^\n]*h9/);
  t.regex(finished.stderr, /ERR_HOST_KEY_MISMATCH: h2 /);
  t.regex(finished.stderr, /ERR_PREFLIGHT_MEMORY: h1: \[Mem\]/);
});

test('a key that no host knows is refused, and so is a user without sudo', async t => {
  const key = join(FOLDER, 'e2e-other-key');
  await rm(key, {force: true});
  await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', key], {signal});
  const finished = await provisionVariant({
    hosts: {
      'all.hosts.h1.privateKeyFile': 'e2e-other-key',
      'all.hosts.h2.user': 'nosudo',
      'all.hosts.h3.user': 'nosudo',
    },
  });
  const codes = ['ERR_AUTHENTICATION_FAILED', 'ERR_SUDO_REFUSED', 'ERR_SUDO_REFUSED'];
  assertRefused(t, finished, {exitCode: 12, codes});
  t.regex(finished.stderr, /ERR_SUDO_REFUSED: h2 [^]*next: .*NOPASSWD/);
});

test('a port in use, and a cluster or a runtime that is not ours, are refused', async t => {
  const listen = 'systemd-run --quiet --unit=e2e --socket-property=ListenStream=';
  await onHost('h1', `${listen}6443 true`);
  await onHost('h2', 'mkdir -p /etc/kubernetes && touch /etc/kubernetes/kubelet.conf');
  await onHost('h3', `${listen}/run/crio/crio.sock true`);
  try {
    const codes = [
      'ERR_PREFLIGHT_PORT_IN_USE', 'ERR_PREFLIGHT_FOREIGN_CLUSTER', 'ERR_PREFLIGHT_FOREIGN_RUNTIME',
    ]; // prettier-ignore
    const finished = await provision([CLUSTER, '--yes', '--output', 'json']);
    assertRefused(t, finished, {exitCode: 13, codes});
    t.regex(finished.stderr, /ERR_PREFLIGHT_PORT_IN_USE: h1: \[Port-6443\]/);
    t.regex(finished.stderr, /ERR_PREFLIGHT_FOREIGN_CLUSTER: h2: [^\n]*kubelet\.conf/);
    t.regex(finished.stderr, /ERR_PREFLIGHT_FOREIGN_RUNTIME: h3: [^\n]*crio\.sock/);
  } finally {
    await onHosts(THREE_HOSTS, 'systemctl stop e2e.socket 2>/dev/null; rm -rf /run/crio; :');
    await onHost('h2', 'rm -r /etc/kubernetes');
  }
});

test('an image that the registry lacks is named before kubeadm could wait for it', async t => {
  const {repository, tag} = parseReference(imageCatalogue.pause.reference);
  const manifest = (reference: string) => `${REGISTRY}/v2/${repository}/manifests/${reference}`;
  const headers = {accept: 'application/vnd.oci.image.manifest.v1+json'};
  const found = await fetch(manifest(tag ?? ''), {method: 'HEAD', headers});
  const digest = found.headers.get('docker-content-digest') ?? '';
  t.is((await fetch(manifest(digest), {method: 'DELETE'})).status, 202);
  try {
    const finished = await provision([CLUSTER, '--yes', '--output', 'json']);
    assertRefused(t, finished, {exitCode: 14, codes: ['ERR_IMAGE_MISSING']});
    t.regex(finished.stderr, /registry\.k8s\.io\/pause:[^]*next: run "provision images push/);
  } finally {
    await must(['images', 'push', '--registry', REGISTRY]);
  }
});

test('words that mean nothing are refused with the nearest that does', async t => {
  const finished = await provision(['plna']);
  t.is(finished.exitCode, 2);
  t.regex(finished.stderr, /ERR_USAGE: [^]*next: .*provision plan/);
  const unanswered = await provision([CLUSTER, '--output', 'json']);
  t.is(unanswered.exitCode, 2, 'without --yes, and nobody to ask');
  t.deepEqual(unanswered.codes, ['ERR_CONFIRMATION_NEEDED']);
});

test('after all refusals the hosts are as bare as before', async t => {
  t.deepEqual(await differencesToSaved(THREE_HOSTS), []);
});
