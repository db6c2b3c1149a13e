import {randomBytes} from 'node:crypto';
import type {IncomingMessage, ServerResponse} from 'node:http';
import {buffer} from 'node:stream/consumers';
import {setImmediate as nextTurn} from 'node:timers/promises';
import {digestOfBytes} from '#shared/oci/digest';
import {RegistryClient} from '#shared/oci/registry-client';
import {Secret} from '#shared/secret';
import {IDENTITY_TOKEN, startRegistryDouble, TOKEN} from '#test/registry-double';
import test from 'ava';

const {signal} = new AbortController();
const BLOB = randomBytes(2_000_000);
const digest = digestOfBytes(BLOB);
const request = {repository: 'one', digest, sizeBytes: BLOB.length, stallTimeoutMs: 5_000};

type Serve = (request: IncomingMessage, response: ServerResponse, blob: Buffer) => boolean;

async function aRegistry(serveBlob: Serve, options: {readonly withoutRanges?: boolean} = {}) {
  const registry = await startRegistryDouble({serveBlob, ...options});
  registry.blobs.set(`one/${digest}`, BLOB);
  return {...registry, client: new RegistryClient({url: registry.url})};
}

/** Sends a part of what was announced, then breaks the connection. */
function breakAfter(response: ServerResponse, bytes: Buffer, announcedBytes: number): boolean {
  response.writeHead(200, {'content-length': String(announcedBytes)});
  response.write(bytes, () => response.destroy());
  return true;
}

for (const withoutRanges of [false, true]) {
  const how = withoutRanges ? 'skipping what is here' : 'from where it broke';
  test(`a blob whose connection breaks goes on ${how}`, async t => {
    let breaks = 2;
    await using registry = await aRegistry(
      ({headers: {range}}, response, blob) => {
        if (breaks === 0) return false;
        breaks -= 1;
        const start = withoutRanges ? 0 : Number(/[0-9]+/.exec(range ?? '0')?.[0]);
        if (start > 0) {
          response.writeHead(206, {
            'content-range': `bytes ${start}-${blob.length - 1}/${blob.length}`,
          });
          response.write(blob.subarray(start, start + 700_000), () => response.destroy());
          return true;
        }
        return breakAfter(response, blob.subarray(0, 600_000), blob.length);
      },
      {withoutRanges},
    );
    const read = await buffer(registry.client.openBlob(request, signal));
    t.true(read.equals(BLOB));
    t.is(registry.requests.length, 3);
  });
}

test('a blob whose connection breaks again and again without a byte is given up', async t => {
  await using registry = await aRegistry((_request, response) => {
    response.destroy();
    return true;
  });
  await t.throwsAsync(buffer(registry.client.openBlob(request, signal)), {
    code: 'ERR_REGISTRY_UNREACHABLE',
  });
  t.true(registry.requests.length <= 5);
});

test('a blob that breaks off and then brings nothing more is given up', async t => {
  let count = 0;
  await using registry = await aRegistry((_request, response, blob) => {
    count += 1;
    if (count > 1) response.destroy();
    else breakAfter(response, blob.subarray(0, 10), blob.length);
    return true;
  });
  await t.throwsAsync(buffer(registry.client.openBlob(request, signal)), {
    code: 'ERR_REGISTRY_UNREACHABLE',
  });
  t.true(count <= 6);
});

test('a blob of which no byte comes any more has stalled', async t => {
  await using registry = await aRegistry((_request, response, blob) => {
    response.writeHead(200, {'content-length': String(blob.length)});
    response.write(blob.subarray(0, 1000));
    return true;
  });
  const reading = buffer(registry.client.openBlob({...request, stallTimeoutMs: 100}, signal));
  await t.throwsAsync(reading, {code: 'ERR_PULL_STALLED'});
});

test('a blob whose headers never come has stalled or is unreachable, and is given up', async t => {
  await using registry = await aRegistry(() => true);
  const reading = buffer(registry.client.openBlob({...request, stallTimeoutMs: 100}, signal));
  await t.throwsAsync(reading, {code: 'ERR_PULL_STALLED'});
});

test('a reader that takes its time is no stall', async t => {
  await using registry = await aRegistry(() => false);
  const stream = registry.client.openBlob({...request, stallTimeoutMs: 1_000}, signal);
  const chunks: Buffer[] = [];
  let isPaused = false;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    if (isPaused) continue;
    isPaused = true;
    await new Promise(resolve => setTimeout(resolve, 2_500)); // the passing of time is what is tested
  }
  t.true(Buffer.concat(chunks).equals(BLOB));
});

test('a blob without end is a broken answer', async t => {
  await using registry = await aRegistry((_request, response) => {
    response.writeHead(200);
    const more = () => {
      while (response.write(Buffer.alloc(100_000)));
    };
    response.on('drain', more);
    more();
    return true;
  });
  await t.throwsAsync(buffer(registry.client.openBlob(request, signal)), {
    code: 'ERR_REGISTRY_ANSWER',
  });
});

for (const announced of [BLOB.length - 1, BLOB.length + 1, 0]) {
  test(`a blob announced with ${announced} bytes instead of ${BLOB.length} is a broken answer`, async t => {
    await using registry = await aRegistry((_request, response) => {
      response.writeHead(200, {'content-length': String(announced)});
      response.end(Buffer.alloc(announced));
      return true;
    });
    await t.throwsAsync(buffer(registry.client.openBlob(request, signal)), {
      code: 'ERR_REGISTRY_ANSWER',
    });
  });
}

test('an answer with another range than asked for is a broken answer', async t => {
  await using registry = await aRegistry((_request, response, blob) => {
    response.writeHead(206, {'content-range': `bytes 0-${blob.length - 1}/${blob.length}`});
    response.end(blob);
    return true;
  });
  const reading = buffer(registry.client.openBlob({...request, offset: 5}, signal));
  await t.throwsAsync(reading, {code: 'ERR_REGISTRY_ANSWER'});
});

test('a small blob with other bytes than its digest is a broken answer', async t => {
  await using registry = await aRegistry((_request, response, blob) => {
    response.end(Buffer.alloc(blob.length));
    return true;
  });
  await t.throwsAsync(registry.client.getBlob(request, signal), {code: 'ERR_REGISTRY_ANSWER'});
});

test('an abort ends a blob with its reason, and its connection', async t => {
  const closed = Promise.withResolvers<undefined>();
  await using registry = await aRegistry((incoming, response, blob) => {
    incoming.socket.on('close', () => {
      closed.resolve(undefined);
    });
    response.writeHead(200, {'content-length': String(blob.length)});
    response.write(blob.subarray(0, 1000));
    return true;
  });
  const controller = new AbortController();
  const stream = registry.client.openBlob(request, controller.signal);
  stream.once('data', () => {
    controller.abort(new Error('stop'));
  });
  await t.throwsAsync(buffer(stream), {message: 'stop'});
  await closed.promise;
});

test('a blob that is destroyed before its answer leaves nothing behind', async t => {
  await using registry = await aRegistry(() => false);
  const stream = registry.client.openBlob(request, signal);
  stream.on('error', () => undefined);
  stream.read();
  stream.destroy();
  await nextTurn();
  t.true(stream.destroyed);
});

test('a redirect is followed to another host, which gets no credentials', async t => {
  const seen: (string | undefined)[] = [];
  await using content = await aRegistry(({headers: {authorization}}) => {
    seen.push(authorization);
    return false;
  });
  await using registry = await startRegistryDouble({
    authentication: 'bearer',
    serveBlob: ({url}, response) => {
      response.writeHead(307, {location: `${content.url}${url ?? ''}`}).end();
      return true;
    },
  });
  registry.blobs.set(`one/${digest}`, BLOB);
  const credentials = {username: 'user', password: new Secret('secret')};
  const client = new RegistryClient({url: registry.url, credentials});
  const read = await buffer(client.openBlob(request, signal));
  t.true(read.equals(BLOB));
  t.deepEqual(seen, [undefined]);
});

test('a host that one is redirected to asks for credentials in vain', async t => {
  const seen: (string | undefined)[] = [];
  await using content = await startRegistryDouble({
    authentication: 'basic',
    intercept: ({headers: {authorization}}) => {
      seen.push(authorization);
      return undefined;
    },
  });
  await using registry = await aRegistry(({url}, response) => {
    response.writeHead(307, {location: `${content.url}${url ?? ''}`}).end();
    return true;
  });
  const credentials = {username: 'user', password: new Secret('secret')};
  const client = new RegistryClient({url: registry.url, credentials});
  await t.throwsAsync(client.getBlob(request, signal), {code: 'ERR_REGISTRY_DENIED'});
  t.deepEqual(seen, [undefined]);
});

test('redirects in a circle are a broken answer', async t => {
  await using registry = await aRegistry(({url}, response) => {
    response.writeHead(302, {location: url}).end();
    return true;
  });
  await t.throwsAsync(buffer(registry.client.openBlob(request, signal)), {
    code: 'ERR_REGISTRY_ANSWER',
  });
  t.true(registry.requests.length <= 6);
});

for (const location of [undefined, 'ftp://a.b/c', 'http://']) {
  test(`a redirect to ${String(location)} is a broken answer`, async t => {
    await using registry = await aRegistry((_request, response) => {
      response.writeHead(302, location === undefined ? {} : {location}).end();
      return true;
    });
    await t.throwsAsync(buffer(registry.client.openBlob(request, signal)), {
      code: 'ERR_REGISTRY_ANSWER',
    });
  });
}

test('an identity token buys a token; a registry token is used as it is', async t => {
  await using registry = await startRegistryDouble({authentication: 'bearer'});
  registry.blobs.set(`one/${digest}`, BLOB);
  for (const credentials of [
    {identityToken: new Secret(IDENTITY_TOKEN)},
    {registryToken: new Secret(TOKEN)},
  ]) {
    const client = new RegistryClient({url: registry.url, credentials});
    t.true(await client.hasBlob('one', digest, signal));
  }
  const wrong = new RegistryClient({
    url: registry.url,
    credentials: {registryToken: new Secret('hunter2')},
  });
  await t.throwsAsync(wrong.hasBlob('one', digest, signal), {code: 'ERR_REGISTRY_DENIED'});
});

for (const authentication of ['basic', 'bearer'] as const) {
  test(`what a registry with ${authentication} authentication repeats of our credentials is not shown`, async t => {
    let sent = '';
    await using registry = await startRegistryDouble({
      authentication,
      serveBlob: ({headers: {authorization = ''}}, response) => {
        sent = authorization.replace(/^\w+ /, '');
        response.writeHead(403).end(`you are ${authorization}, your password is secret`);
        return true;
      },
    });
    registry.blobs.set(`one/${digest}`, BLOB);
    const credentials = {username: 'user', password: new Secret('secret')};
    const client = new RegistryClient({url: registry.url, credentials});
    const error = await t.throwsAsync(client.getBlob(request, signal));
    t.like(error, {code: 'ERR_REGISTRY_DENIED'});
    t.true(sent.length > 10);
    t.false(error.message.includes(sent));
    t.notRegex(error.message, /secret/);
  });
}

test('a registry that cannot serve now counts as unreachable', async t => {
  await using registry = await startRegistryDouble({intercept: () => 503});
  const client = new RegistryClient({url: registry.url});
  await t.throwsAsync(client.hasBlob('one', digest, signal), {code: 'ERR_REGISTRY_UNREACHABLE'});
});

test('a connection that the registry closes just as it is used again is no failure', async t => {
  let closes = 0;
  await using registry = await startRegistryDouble({
    intercept: ({method, socket}) => {
      // The first request of each connection is answered; the second one meets its end.
      const isSecond = (answered.get(socket) ?? 0) > 0;
      answered.set(socket, (answered.get(socket) ?? 0) + 1);
      if (!isSecond || closes > 2) return undefined;
      closes += 1;
      t.true(method === 'HEAD' || method === 'POST' || method === 'PUT');
      socket.resetAndDestroy();
      return 500; // which nobody gets: nothing was done
    },
  });
  const answered = new Map<unknown, number>();
  const client = new RegistryClient({url: registry.url});
  t.false(await client.hasBlob('one', digest, signal));
  t.false(await client.hasBlob('one', digest, signal));
  await client.putBlob('one', {digest, size: BLOB.length, content: BLOB}, signal);
  t.true(closes > 0);
});
