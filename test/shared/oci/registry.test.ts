import {pushSample, testRegistryContract} from '#test/registry-contract';
import {startRegistryDouble} from '#test/registry-double';
import {digestOfBytes} from '#shared/oci/digest';
import {RegistryClient} from '#shared/oci/registry-client';
import {Secret} from '#shared/secret';
import test from 'ava';

const {signal} = new AbortController();
const credentials = {username: 'user', password: new Secret('secret')};
const name = {repository: 'team/app', name: 'v1'};

testRegistryContract(test, 'registry double', () => startRegistryDouble());

for (const authentication of ['basic', 'bearer'] as const) {
  test(`a registry that asks for ${authentication} authentication gets it`, async t => {
    await using registry = await startRegistryDouble({authentication});
    const client = new RegistryClient({url: registry.url, credentials});
    const {digest} = await pushSample(client);
    t.is(await client.headManifest(name, signal), digest);
  });

  test(`no credentials at a registry with ${authentication} authentication are a refusal`, async t => {
    await using registry = await startRegistryDouble({authentication});
    const client = new RegistryClient({url: registry.url});
    await t.throwsAsync(client.headManifest(name, signal), {code: 'ERR_REGISTRY_DENIED'});
  });

  test(`wrong credentials at a registry with ${authentication} authentication are refused once, without the password`, async t => {
    await using registry = await startRegistryDouble({authentication});
    const wrong = {username: 'user', password: new Secret('hunter2')};
    const client = new RegistryClient({url: registry.url, credentials: wrong});
    const error = await t.throwsAsync(client.headManifest(name, signal));
    t.like(error, {code: 'ERR_REGISTRY_DENIED'});
    t.notRegex(error.message, /hunter2/);
    t.true(registry.requests.length <= 3);
  });
}

test('a registry that does not listen is unreachable', async t => {
  const registry = await startRegistryDouble();
  await registry[Symbol.asyncDispose]();
  const client = new RegistryClient({url: registry.url});
  await t.throwsAsync(client.headManifest(name, signal), {code: 'ERR_REGISTRY_UNREACHABLE'});
});

test('a registry that does not answer in time is unreachable', async t => {
  await using registry = await startRegistryDouble({isSilent: true});
  const client = new RegistryClient({url: registry.url, timeoutMs: 50});
  await t.throwsAsync(client.headManifest(name, signal), {code: 'ERR_REGISTRY_UNREACHABLE'});
});

test('an abort rejects with its reason', async t => {
  await using registry = await startRegistryDouble();
  const client = new RegistryClient({url: registry.url});
  const aborted = AbortSignal.abort(new Error('stop'));
  await t.throwsAsync(client.headManifest(name, aborted), {message: 'stop'});
});

test('a status that says no is a refusal with what the registry said', async t => {
  await using registry = await startRegistryDouble({intercept: () => 403});
  const client = new RegistryClient({url: registry.url});
  const error = await t.throwsAsync(client.getManifest(name, signal));
  t.like(error, {code: 'ERR_REGISTRY_DENIED'});
  t.regex(error.message, /DENIED/);
});

test('a digest is found without the header that registries may leave out', async t => {
  await using registry = await startRegistryDouble({withoutDigestHeader: true});
  const client = new RegistryClient({url: registry.url});
  const {digest} = await pushSample(client);
  t.is(await client.headManifest(name, signal), digest);
});

test('a manifest other than the one that was asked for by digest is a broken answer', async t => {
  await using registry = await startRegistryDouble({isLying: true});
  const client = new RegistryClient({url: registry.url});
  const {digest} = await pushSample(client);
  const reading = client.getManifest({repository: 'team/app', name: digest}, signal);
  await t.throwsAsync(reading, {code: 'ERR_REGISTRY_ANSWER'});
});

test('a manifest larger than any registry takes is a broken answer', async t => {
  await using registry = await startRegistryDouble({isBloating: true});
  const client = new RegistryClient({url: registry.url});
  await pushSample(client);
  await t.throwsAsync(client.getManifest(name, signal), {code: 'ERR_REGISTRY_ANSWER'});
});

test('a token service that cannot be reached is named, not a bare fetch failure', async t => {
  await using registry = await startRegistryDouble({
    authentication: 'bearer',
    tokenUrl: 'http://127.0.0.1:1/token',
  });
  const client = new RegistryClient({url: registry.url, credentials});
  await t.throwsAsync(client.headManifest(name, signal), {code: 'ERR_REGISTRY_UNREACHABLE'});
});

test('an upload that is opened without a place is a broken answer', async t => {
  await using registry = await startRegistryDouble({intercept: () => 202});
  const client = new RegistryClient({url: registry.url});
  const content = Buffer.from('x');
  const upload = {digest: digestOfBytes(content), size: 1, content};
  await t.throwsAsync(client.putBlob('one', upload, signal), {code: 'ERR_REGISTRY_ANSWER'});
});

test('what is no plain http or https origin is refused as a registry, and not repeated', t => {
  const wrong = [
    '10.89.0.2:5000',
    'registry',
    '',
    'ftp://a.b',
    'http://a.b/path',
    'http://u:hunter2@a.b',
  ];
  for (const url of wrong) {
    const error = t.throws(
      () => new RegistryClient({url}),
      {code: 'ERR_REGISTRY_URL_INVALID'},
      url,
    );
    t.notRegex(error.message, /hunter2/);
  }
  t.notThrows(() => new RegistryClient({url: 'https://a.b:5000/'}));
});
