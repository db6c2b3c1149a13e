import {spawnSync} from 'node:child_process';
import {createHash} from 'node:crypto';
import {Resolver} from 'node:dns/promises';
import {writeFileSync} from 'node:fs';
import {createServer} from 'node:https';
import type {AddressInfo} from 'node:net';
import {join} from 'node:path';
import test from 'ava';
import {openArtifactStore} from '#artifacts/store';
import {planAddons} from '#provisioner/addons/addon';
import {corefile} from '#provisioner/addons/cluster-dns';
import {proofAccount, proofNamespace, proofPod} from '#provisioner/proof/proof-objects';
import {proofService} from '#provisioner/proof/proof-objects';
import {connectKubernetes} from '#shared/kube/connect';
import type {KubernetesApi} from '#shared/kube/kubernetes-api';
import {configMapKind, namespaceKind, type KubernetesObject} from '#shared/kube/object';
import {waitFor} from '#shared/wait-for';
import {aCluster} from '#test/a-cluster';
import {kill, startApiServer, startProcess, type ApiServer} from '#test/api-server';
import {freePort} from '#test/free-port';

const signal = AbortSignal.timeout(600_000);
const images = {flannel: 'flannel:1', coredns: 'coredns:1'};
const configMap: KubernetesObject = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: {name: 'settings', namespace: 'default'},
  data: {key: 'value'},
};

let server: ApiServer;
let api: KubernetesApi;

test.before(async t => {
  t.timeout(600_000);
  server = await startApiServer({signal});
  api = await connectKubernetes({kubeconfig: server.kubeconfig, signal});
});

test.after.always(async () => {
  await api[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

test.serial('an object is created, left alone, changed, read and deleted', async t => {
  const reference = {...configMapKind, name: 'settings', namespace: 'default'};
  const other = {...configMap, data: {key: 'other'}};
  t.is((await api.apply(configMap, {signal, dryRun: true})).change, 'created');
  t.is((await api.apply(configMap, {signal})).change, 'created');
  t.is((await api.apply(configMap, {signal})).change, 'unchanged');
  t.is((await api.apply(other, {signal, dryRun: true})).change, 'changed');
  t.is((await api.apply(other, {signal})).change, 'changed');
  t.deepEqual((await api.get(reference, {signal}))?.data, {key: 'other'});
  const patched = await api.patch(reference, {metadata: {labels: {a: 'b'}}}, {signal});
  t.deepEqual(patched.metadata.labels, {a: 'b'});
  const listed = await api.list(configMapKind, {signal, namespace: 'default', labelSelector: 'a'});
  t.deepEqual(
    listed.map(({metadata}) => metadata.name),
    ['settings'],
  );
  t.true(await api.delete(reference, {signal}));
  t.false(await api.delete(reference, {signal}));
});

test.serial('waitFor() sees what is created, changed and deleted while it waits', async t => {
  const seen: string[] = [];
  const object = {...configMap, metadata: {name: 'watched', namespace: 'default'}};
  const reference = {...configMapKind, name: 'watched', namespace: 'default'};
  const steps = [
    () => api.apply(object, {signal}),
    () => api.apply({...object, data: {key: 'other'}}, {signal}),
    () => api.delete(reference, {signal}),
  ];
  await api.waitFor(
    configMapKind,
    ([found]) => {
      const now = found?.data?.['key'] ?? 'none';
      if (seen.at(-1) === now) return undefined;
      seen.push(now);
      void steps.shift()?.();
      return seen.length === 4 ? true : undefined;
    },
    {
      signal,
      namespace: 'default',
      fieldSelector: 'metadata.name=watched',
      timeoutMs: 30_000,
      description: 'four states',
    },
  );
  t.deepEqual(seen, ['none', 'value', 'other', 'none']);
});

test.serial('an invalid object is ERR_API_REFUSED with the field it is about', async t => {
  const invalid = {...configMap, metadata: {name: 'Not_A_Name', namespace: 'default'}};
  const error = await t.throwsAsync(api.apply(invalid, {signal}), {code: 'ERR_API_REFUSED'});
  t.like(error, {status: 422, reason: 'Invalid'});
  t.regex(error.message, /metadata\.name/);
});

test.serial('a wrong token is ERR_API_REFUSED with status 401, and is never shown', async t => {
  const kubeconfig = server.kubeconfigWith({token: 'wr0ng'});
  await using stranger = await connectKubernetes({kubeconfig, signal});
  const error = await t.throwsAsync(stranger.list(namespaceKind, {signal}), {
    code: 'ERR_API_REFUSED',
  });
  t.like(error, {status: 401});
  t.false(error.message.includes('wr0ng'));
});

test.serial('a port where nobody listens is ERR_API_UNREACHABLE, and not ready', async t => {
  const port = await freePort();
  const options = {kubeconfig: server.kubeconfig, server: `https://127.0.0.1:${port}`, signal};
  await using nobody = await connectKubernetes({...options, retryTimeoutMs: 300});
  await t.throwsAsync(nobody.list(namespaceKind, {signal}), {code: 'ERR_API_UNREACHABLE'});
  t.false(await nobody.isReady({signal}));
});

test.serial('the override of the server keeps the authority: another name is refused', async t => {
  t.true(await api.isReady({signal}));
  // The certificate is for 127.0.0.1 and localhost, not for this address of the same server.
  const override = `https://127.0.0.2:${server.port}`;
  const options = {kubeconfig: server.kubeconfig, server: override, signal};
  const listener = createServer(server.serving).listen(server.port, '127.0.0.2');
  t.teardown(() => listener.close());
  await using impostor = await connectKubernetes(options);
  await t.throwsAsync(impostor.list(namespaceKind, {signal}), {code: 'ERR_API_UNTRUSTED'});
});

test.serial(
  'the API accepts every manifest of ours, and finds nothing to change again',
  async t => {
    const cluster = aCluster();
    const addons = planAddons(cluster, {images, upstream: true});
    const place = {namespace: 'provision-proof-test', image: 'slipway.invalid/proof:1'};
    const objects = [
      ...addons.flatMap(addon => addon.objects),
      proofNamespace(place),
      proofAccount(place),
      proofService(place),
      ...cluster.hosts.map((host, index) => proofPod(place, host, index)),
    ];
    for (const object of objects) await api.apply(object, {signal});
    for (const object of objects) {
      const {change} = await api.apply(object, {signal});
      t.is(change, 'unchanged', `${object.kind} ${object.metadata.name}`);
    }
  },
);

test.serial('CoreDNS takes our Corefile, may read what it needs, and answers', async t => {
  const store = await openArtifactStore({source: 'packages', signal});
  const [coredns, kubectl] = await Promise.all([
    store.artifact('coredns'),
    store.artifact('kubectl'),
  ]);
  const admin = join(server.directory, 'admin.conf');
  writeFileSync(admin, server.kubeconfig, {mode: 0o600});
  const command = ['-n', 'kube-system', 'create', 'token', 'cluster-dns'];
  const {stdout} = spawnSync(kubectl.path, ['--kubeconfig', admin, ...command], {
    encoding: 'utf8',
  });
  const own = join(server.directory, 'cluster-dns.conf');
  writeFileSync(own, server.kubeconfigWith({token: stdout.trim()}), {mode: 0o600});
  const [dns, health, ready, metrics] = await Promise.all([
    freePort(),
    freePort(),
    freePort(),
    freePort(),
  ]);
  const text = corefile('cluster.local', false)
    .replace('.:53', `.:${dns}`)
    .replace('errors', 'errors\n    bind 127.0.0.1')
    .replace('health', `health 127.0.0.1:${health}`)
    .replace('ready', `ready 127.0.0.1:${ready}`)
    .replace('prometheus :9153', `prometheus 127.0.0.1:${metrics}`)
    .replace('pods insecure', `pods insecure\n        kubeconfig ${own} test`);
  const path = join(server.directory, 'Corefile');
  writeFileSync(path, text);
  const child = startProcess(server.directory, 'coredns', coredns.path, ['-conf', path]);
  t.teardown(() => kill(child));
  const resolver = new Resolver();
  resolver.setServers([`127.0.0.1:${dns}`]);
  const address = await waitFor(
    () =>
      resolver
        .resolve4('cluster-dns.kube-system.svc.cluster.local')
        .then(([first]) => first)
        .catch(() => undefined), // not listening yet
    {signal, timeoutMs: 30_000},
  );
  t.is(address, '10.96.0.10');
  const isReady = await fetch(`http://127.0.0.1:${ready}/ready`);
  t.is(isReady.status, 200);
  await t.throwsAsync(resolver.resolve4('example.org'), {code: 'ESERVFAIL'});
});

test.serial(
  'exec() speaks protocol v5: arguments, standard input and its end, exit code',
  async t => {
    const frames: Buffer[] = [];
    let asked = '';
    const kubelet = createServer(server.serving);
    kubelet.on('upgrade', (request, socket) => {
      asked = request.url ?? '';
      const accept = createHash('sha1')
        .update(`${request.headers['sec-websocket-key'] ?? ''}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
        .digest('base64');
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
          `Sec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n`,
      );
      const causes = [{reason: 'ExitCode', message: '4'}];
      const status = {status: 'Failure', reason: 'NonZeroExitCode', details: {causes}};
      socket.on('data', (bytes: Buffer) => {
        frames.push(...unmask(bytes));
        if (frames.at(-1)?.equals(Buffer.of(255, 0)) !== true) return;
        for (const text of ['\u0001out', '\u0002err', `\u0003${JSON.stringify(status)}`]) {
          socket.write(
            Buffer.concat([Buffer.of(0x82, Buffer.byteLength(text)), Buffer.from(text)]),
          );
        }
      });
      socket.on('error', () => undefined);
    });
    await new Promise<void>(resolve => kubelet.listen(0, '127.0.0.1', resolve));
    t.teardown(() => kubelet.close());
    const {port} = kubelet.address() as AddressInfo;
    const options = {kubeconfig: server.kubeconfig, server: `https://127.0.0.1:${port}`, signal};
    await using streaming = await connectKubernetes(options);
    const pod = {namespace: 'n', name: 'p'};
    const result = await streaming.exec(pod, ['cat', 'a b'], {signal, container: 'c', stdin: 'in'});
    t.deepEqual(result, {exitCode: 4, stdout: 'out', stderr: 'err'});
    t.deepEqual(
      frames.map(frame => frame.toString('latin1')),
      ['\u0000in', '\u00ff\u0000'],
    );
    t.is(
      asked,
      '/api/v1/namespaces/n/pods/p/exec?stdout=true&stderr=true&stdin=true&container=c&command=cat&command=a+b',
    );
  },
);

test.serial('exec() in a pod that does not exist is ERR_API_REFUSED with status 404', async t => {
  const pod = {namespace: 'default', name: 'nobody'};
  const error = await t.throwsAsync(api.exec(pod, ['true'], {signal}), {code: 'ERR_API_REFUSED'});
  t.like(error, {status: 404});
});

/** The payloads of short masked frames, as a client sends them (RFC 6455 §5.2). */
function unmask(bytes: Buffer): readonly Buffer[] {
  const payloads: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = (bytes[at + 1] ?? 0) & 0x7f;
    const mask = bytes.subarray(at + 2, at + 6);
    const payload = bytes.subarray(at + 6, at + 6 + length);
    payloads.push(Buffer.from(payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0))));
    at += 6 + length;
  }
  return payloads;
}
