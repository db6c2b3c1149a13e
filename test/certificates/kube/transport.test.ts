import {generateKeyPairSync} from 'node:crypto';
import {createServer, type Server} from 'node:https';
import type {IncomingMessage} from 'node:http';
import type {AddressInfo} from 'node:net';
import type {PeerCertificate} from 'node:tls';
import test from 'ava';
import {openApiClient, type ApiClient, type ClientOptions} from '#certificates/kube/client';
import type {ResourceType} from '#certificates/kube/resource';
import {createCertificate} from '#certificates/x509/create-certificate';
import {subjectName} from '#certificates/x509/distinguished-name';

const signal = AbortSignal.timeout(30_000);
const certificates: ResourceType = {
  group: 'cert-manager.io',
  version: 'v1',
  kind: 'Certificate',
  plural: 'certificates',
  namespaced: true,
};
const name = {namespace: 'shop', name: 'web'};
const serving = aKeyPair('server');
const clientPair = aKeyPair('client');

interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** A certificate for 127.0.0.1 that vouches for itself. */
function aKeyPair(commonName: string): KeyPair {
  const {privateKey, publicKey} = generateKeyPairSync('ec', {namedCurve: 'P-256'});
  const cert = createCertificate({
    subject: subjectName({commonName}),
    names: [{kind: 'ip', value: '127.0.0.1'}],
    publicKey,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    usages: ['server auth', 'client auth', 'digital signature'],
    isCa: false,
    issuer: {key: privateKey},
  });
  return {cert, key: privateKey.export({type: 'pkcs8', format: 'pem'}).toString()};
}

interface Bench extends AsyncDisposable {
  readonly requests: IncomingMessage[];
  /** Common names of the certificates that clients showed, one per connection. */
  readonly shown: (string | undefined)[];
  readonly connections: () => number;
  /** A client of this server; it is closed with it. */
  readonly open: (options?: Partial<ClientOptions['credentials']>, timeoutMs?: number) => ApiClient;
}

/** A server that answers any request with an object, and asks its clients for certificates. */
async function aServer(answer = true): Promise<Bench> {
  const requests: IncomingMessage[] = [];
  const shown: (string | undefined)[] = [];
  const tls = {...serving, requestCert: true, rejectUnauthorized: false, ca: clientPair.cert};
  const server: Server = createServer(tls, (request, response) => {
    requests.push(request);
    if (answer) response.end('{"kind":"Certificate","metadata":{"name":"web"}}');
  });
  server.on('secureConnection', socket => {
    const certificate: Partial<PeerCertificate> = socket.getPeerCertificate(); // {} for none
    shown.push(certificate.subject?.CN?.toString());
  });
  server.on('tlsClientError', () => undefined); // clients that do not trust us
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const {port} = server.address() as AddressInfo;
  const clients: ApiClient[] = [];
  return {
    requests,
    shown,
    connections: () => shown.length,
    open(credentials = {}, requestTimeoutMs = 5_000) {
      const client = openApiClient({
        credentials: {
          server: `https://127.0.0.1:${port}`,
          certificateAuthority: serving.cert,
          token: () => undefined,
          ...credentials,
        },
        userAgent: 'slipway-certs/test',
        requestTimeoutMs,
      });
      clients.push(client);
      return client;
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) await client[Symbol.asyncDispose]();
      server.closeAllConnections();
      await new Promise(resolve => server.close(resolve));
    },
  };
}

test('requests say who we are, and one after the other use the same connections', async t => {
  await using bench = await aServer();
  let token = 'first';
  const client = bench.open({token: () => token});
  await client.get(certificates, name, {signal});
  token = 'second';
  await client.get(certificates, name, {signal});
  await client.create(certificates, {apiVersion: '', kind: '', metadata: name}, {signal});
  t.deepEqual(
    bench.requests.slice(0, 3).map(({headers}) => headers.authorization),
    ['Bearer first', 'Bearer second', 'Bearer second'],
  );
  for (let index = 0; index < 10; index += 1) await client.get(certificates, name, {signal});
  for (let index = 0; index < 10; index += 1) {
    await client.delete(certificates, name, {signal, uid: 'u'});
  }
  t.true(bench.connections() <= 2, 'one may still be busy with the end of its answer');
  const [get, , create] = bench.requests;
  t.is(get?.httpVersion, '1.1');
  t.like(get?.headers, {accept: 'application/json', 'user-agent': 'slipway-certs/test'});
  t.is(create?.headers['content-type'], 'application/json');
});

test('a client certificate is shown to the server, and no token where there is none', async t => {
  await using bench = await aServer();
  await bench.open({client: clientPair}).get(certificates, name, {signal});
  await bench.open().get(certificates, name, {signal});
  t.deepEqual(bench.shown, ['client', undefined]);
  t.is(bench.requests[0]?.headers.authorization, undefined);
});

test('a server that the credentials do not vouch for gets nothing', async t => {
  await using bench = await aServer();
  const client = bench.open({certificateAuthority: clientPair.cert, token: () => 'token'});
  await t.throwsAsync(client.get(certificates, name, {signal}), {code: 'ERR_API_UNTRUSTED'});
  t.is(bench.requests.length, 0);
});

test('a server that does not answer is given up, and a signal ends the wait at once', async t => {
  await using bench = await aServer(false);
  const made = {apiVersion: '', kind: '', metadata: name};
  const slow = bench.open({}, 100).create(certificates, made, {signal});
  await t.throwsAsync(slow, {code: 'ERR_API_UNREACHABLE'});
  const ending = new AbortController();
  const waiting = bench.open().get(certificates, name, {signal: ending.signal});
  const reason = new Error('enough');
  ending.abort(reason);
  t.is(await t.throwsAsync(waiting), reason);
});

test('a client that is closed leaves no request behind', async t => {
  await using bench = await aServer(false);
  const client = bench.open();
  const made = {apiVersion: '', kind: '', metadata: name};
  const waiting = client.create(certificates, made, {signal});
  await client[Symbol.asyncDispose]();
  await t.throwsAsync(waiting, {code: 'ERR_API_UNREACHABLE'});
});
