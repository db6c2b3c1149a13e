import test from 'ava';
import {createApiClient, type ApiClient} from '#certificates/kube/client';
import type {ResourceType} from '#certificates/kube/resource';
import {ApiResponseTooLargeError} from '#shared/kube/errors';

const signal = AbortSignal.timeout(60_000);
const secrets: ResourceType = {
  group: '',
  version: 'v1',
  kind: 'Secret',
  plural: 'secrets',
  namespaced: true,
};

interface Store {
  readonly client: ApiClient;
  /** The limit of each list, `whole` without one. */
  readonly limits: readonly string[];
}

/**
 * An API with Secrets of so many MiB each. What makes them large is white space before the answer:
 * that is read like any other octet, and costs nothing to write.
 */
function aStore(
  sizesMib: readonly number[],
  isExpired: (limits: readonly string[]) => boolean = () => false,
): Store {
  const limits: string[] = [];
  const answer = (
    path: string,
  ): {readonly status: number; readonly json: unknown; readonly mib: number} => {
    const query = new URL(path, 'https://api.test').searchParams;
    const limit = query.get('limit') ?? 'whole';
    limits.push(limit);
    if (query.has('continue') && isExpired(limits)) {
      return {status: 410, json: {reason: 'Expired'}, mib: 0};
    }
    const from = Number(query.get('continue') ?? 0);
    const to = limit === 'whole' ? sizesMib.length : from + Number(limit);
    const page = sizesMib.slice(from, to);
    const items = page.map((_, i) => ({metadata: {namespace: 'shop', name: `s${from + i}`}}));
    const next = to < sizesMib.length ? `${to}` : '';
    const mib = page.reduce((sum, size) => sum + size, 0);
    return {status: 200, json: {metadata: {resourceVersion: '5', continue: next}, items}, mib};
  };
  const transport = {
    server: 'https://api.test',
    send: ({path}: {readonly path: string}) => {
      const {status, json, mib} = answer(path);
      return Promise.resolve({status, headers: {}, body: chunks(mib, JSON.stringify(json))});
    },
  };
  const close = () => Promise.resolve();
  const transports = {requests: transport, watches: transport, close, retryTimeoutMs: 0};
  return {client: createApiClient(transports), limits};
}

const MIB = Buffer.alloc(1024 * 1024, ' ');

// eslint-disable-next-line @typescript-eslint/require-await -- the chunks are there
async function* chunks(mib: number, text: string): AsyncIterable<Uint8Array> {
  for (let sent = 0; sent < mib; sent += 1) yield MIB;
  yield Buffer.from(text);
}

const times = (count: number, mib: number) => Array.from({length: count}, () => mib);

test('a page that is too large is asked for in halves, and what follows in larger ones again', async t => {
  const {client, limits} = aStore([...times(100, 0), ...times(3, 9), ...times(300, 0)]);
  const names: string[] = [];
  let pages = 0;
  for await (const {items, first} of client.pages(secrets, {signal, limit: 80})) {
    t.is(first, pages === 0);
    pages += 1;
    names.push(...items.map(({metadata}) => metadata.name));
  }
  t.deepEqual(
    names,
    times(403, 0).map((_, i) => `s${i}`),
  );
  t.deepEqual(limits.slice(0, 4), ['80', '80', '40', '20'], 'the first goes well');
  t.true(limits.includes('1'));
  t.is(limits.at(-1), '80');
  t.true(limits.length < 30, limits.join(' '));
});

test('one object that is too large to be read ends in its error, not in a loop', async t => {
  const {client, limits} = aStore([17]);
  const code = 'ERR_API_RESPONSE_INVALID';
  const error = await t.throwsAsync(client.list(secrets, {signal}), {code});
  t.true(error instanceof ApiResponseTooLargeError);
  t.deepEqual(limits.slice(0, 3), ['500', '250', '125']);
  t.is(limits.at(-1), '1');
});

test('a list that expires, and is too large as a whole, is read in pages at last', async t => {
  const {client, limits} = aStore(times(66, 1), asked => !asked.includes('whole'));
  t.is((await client.list(secrets, {signal})).length, 66);
  t.is(limits.filter(limit => limit === 'whole').length, 1);
});

test('a list that expires for ever, and is too large as a whole, is told', async t => {
  const {client} = aStore(times(66, 1), () => true);
  await t.throwsAsync(client.list(secrets, {signal}), {code: 'ERR_API_REFUSED'});
});
