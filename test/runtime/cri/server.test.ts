import {once} from 'node:events';
import {setImmediate as nextTurn} from 'node:timers/promises';
import test from 'ava';
import {CodedError} from '#shared/errors';
import {receiveArchive, sendArchive} from '#runtime/cri/archive';
import type {ImagesHandlers} from '#runtime/cri/handlers';
import {serveCri} from '#test/cri-service';

const inEachPiece = async function* <T>(items: readonly T[]) {
  for (const item of items) {
    await nextTurn();
    yield item;
  }
};

test('a unary call carries maps, bytes and 64-bit numbers both ways', async t => {
  const {client, calls} = await serveCri(t, {
    runtime: {
      createContainer: ({podSandboxId, config}) => {
        t.is(podSandboxId, 'pod');
        t.deepEqual(config?.labels, {'a/b': 'ü\u0000c'});
        t.deepEqual([...(config?.envs[0]?.value ?? [])], [0xff, 0xfe]);
        return Promise.resolve({containerId: 'c1'});
      },
      containerStatus: () => Promise.resolve({status: {createdAt: 2n ** 62n + 1n, exitCode: -1}}),
    },
  });
  const config = {labels: {'a/b': 'ü\u0000c'}, envs: [{key: 'X', value: Uint8Array.of(255, 254)}]};
  const created = await client.runtime.createContainer({podSandboxId: 'pod', config});
  t.is(created.containerId, 'c1');
  const {status} = await client.runtime.containerStatus({containerId: 'c1'});
  t.is(status?.createdAt, 2n ** 62n + 1n);
  t.is(status?.exitCode, -1);
  t.deepEqual(
    calls.map(({method, status: answer}) => [method, answer]),
    [
      ['CreateContainer', 'OK'],
      ['ContainerStatus', 'OK'],
    ],
  );
});

test('a stream of responses arrives in order and ends', async t => {
  const {client} = await serveCri(t, {
    runtime: {
      streamContainers: () => inEachPiece(['a', 'b', 'c'].map(id => ({containers: [{id}]}))),
    },
  });
  const ids: string[] = [];
  for await (const {containers} of client.runtime.streamContainers({})) {
    ids.push(...containers.map(({id}) => id));
  }
  t.deepEqual(ids, ['a', 'b', 'c']);
});

test('a large stream of responses waits for a slow reader', async t => {
  const written = {count: 0};
  const payload = 'x'.repeat(200_000);
  const {client} = await serveCri(t, {
    image: {
      streamImages: async function* () {
        for (let i = 0; i < 200; i++) {
          written.count++;
          await nextTurn();
          yield {images: [{id: payload}]};
        }
      },
    },
  });
  let read = 0;
  for await (const {images} of client.image.streamImages({})) {
    if (read === 0) t.true(written.count < 100, `${written.count} written ahead of the reader`);
    read += images.length;
  }
  t.is(read, 200);
});

test('an archive reaches the daemon whole, and one that broke off does not pass for it', async t => {
  const ended: string[] = [];
  const images: ImagesHandlers = {
    import: async requests => {
      let bytes = 0;
      const {names, data} = await receiveArchive(requests);
      try {
        for await (const piece of data) bytes += piece.length;
        ended.push('whole');
      } catch (error) {
        ended.push((error as CodedError).code);
        throw error;
      }
      return {images: [{id: String(bytes), repoTags: [...names]}]};
    },
  };
  const {client} = await serveCri(t, {images});
  const piece = new Uint8Array(400_000);
  const whole = sendArchive(['a:1'], inEachPiece([piece, piece, piece]));
  const {images: imported} = await client.images.import(whole);
  t.like(imported[0], {id: '1200000', repoTags: ['a:1']});

  const breaking = (async function* () {
    yield* inEachPiece([piece]);
    throw new Error('the disk is gone');
  })();
  await t.throwsAsync(client.images.import(sendArchive([], breaking)), {
    message: 'the disk is gone',
  });
  while (ended.length < 2) await nextTurn();
  t.deepEqual(ended, ['whole', 'ERR_REQUEST_CANCELLED']);
});

test('a failure with a code becomes its status, with code and next step in the message', async t => {
  const {client, calls} = await serveCri(t, {
    runtime: {
      podSandboxStatus: ({podSandboxId}) =>
        Promise.reject(
          new CodedError('ERR_SANDBOX_NOT_FOUND', `no sandbox ${podSandboxId} \ud800`, {
            hint: 'list sandboxes with "slipway-cri pods"',
          }),
        ),
    },
  });
  const error = await t.throwsAsync(client.runtime.podSandboxStatus({podSandboxId: 'ü'}), {
    code: 'NOT_FOUND',
  });
  t.is(
    error.message,
    'ERR_SANDBOX_NOT_FOUND: no sandbox ü \ufffd; next: list sandboxes with "slipway-cri pods"',
  );
  t.like(error, {reason: 'ERR_SANDBOX_NOT_FOUND', method: 'PodSandboxStatus'});
  t.is(calls[0]?.status, 'NOT_FOUND');
});

test('a reason that the kubelet knows stays at the start of the message, as UNKNOWN', async t => {
  const {client} = await serveCri(t, {
    image: {
      pullImage: () =>
        Promise.reject(
          new CodedError('ERR_IMAGE_NOT_FOUND', 'RegistryUnavailable: no route to registry', {
            hint: 'check the network',
          }),
        ),
    },
  });
  const error = await t.throwsAsync(client.image.pullImage({}), {code: 'UNKNOWN'});
  t.true(error.message.startsWith('RegistryUnavailable: '));
  t.true(error.message.includes('(ERR_IMAGE_NOT_FOUND)'));
});

test('a defect of ours is INTERNAL, and its stack is in the log only', async t => {
  const {client, lines} = await serveCri(t, {
    runtime: {
      version: () => Promise.reject(new TypeError('x is not a function')),
    },
  });
  const error = await t.throwsAsync(client.runtime.version({}), {code: 'INTERNAL'});
  t.false(error.message.includes('.ts:'));
  t.true(lines.some(line => line.startsWith('error ') && line.includes('server.test.ts:')));
});

test('a full disk is RESOURCE_EXHAUSTED, whichever call met it', async t => {
  const {client} = await serveCri(t, {
    image: {
      pullImage: () =>
        Promise.reject(Object.assign(new Error('ENOSPC: no space left'), {code: 'ENOSPC'})),
    },
  });
  await t.throwsAsync(client.image.pullImage({}), {code: 'RESOURCE_EXHAUSTED'});
});

test('an endless message is shortened at its middle', async t => {
  const {client} = await serveCri(t, {
    runtime: {
      version: () =>
        Promise.reject(
          new CodedError('ERR_OCI_RUNTIME_FAILED', 'a'.repeat(1_000_000), {hint: 'the end'}),
        ),
    },
  });
  const error = await t.throwsAsync(client.runtime.version({}), {code: 'UNKNOWN'});
  t.true(error.message.length < 4000);
  t.true(error.message.startsWith('ERR_OCI_RUNTIME_FAILED: aaa'));
  t.true(error.message.endsWith('next: the end'));
});

test('a deadline aborts the signal of the handler and answers DEADLINE_EXCEEDED', async t => {
  const aborted = Promise.withResolvers<unknown>();
  const {client} = await serveCri(t, {
    runtime: {
      version: () => Promise.resolve({}),
      stopContainer: async (_, {signal, deadline}) => {
        t.true(deadline !== undefined && deadline.getTime() > Date.now() - 1000);
        await once(signal, 'abort');
        aborted.resolve(signal.reason);
        return {};
      },
    },
  });
  await client.runtime.version({}); // connected: the time-out is the handler's alone
  await t.throwsAsync(client.runtime.stopContainer({}, {timeoutMs: 2_000}), {
    code: 'DEADLINE_EXCEEDED',
  });
  t.like(await aborted.promise, {code: 'ERR_DEADLINE_EXCEEDED'});
});

test('a caller that goes away aborts the signal of the handler, streams included', async t => {
  const reasons: unknown[] = [];
  const started = [Promise.withResolvers(), Promise.withResolvers()];
  const {client} = await serveCri(t, {
    runtime: {
      execSync: async (_, {signal}) => {
        started[0]?.resolve(undefined);
        await once(signal, 'abort');
        reasons.push(signal.reason);
        signal.throwIfAborted();
        return {};
      },
      getContainerEvents: async function* (_, {signal}) {
        started[1]?.resolve(undefined);
        yield {containerId: 'c1'};
        await once(new EventTarget(), 'never', {signal}).catch(() => {
          reasons.push(signal.reason);
          throw signal.reason;
        });
      },
    },
  });
  const away = new AbortController();
  const call = client.runtime.execSync({}, {signal: away.signal});
  const stream = client.runtime.getContainerEvents({}, {signal: away.signal});
  const events = stream[Symbol.asyncIterator]();
  await events.next();
  await Promise.all(started.map(({promise}) => promise));
  away.abort(new Error('interrupted'));
  await t.throwsAsync(call, {message: 'interrupted'});
  await t.throwsAsync(events.next(), {message: 'interrupted'});
  while (reasons.length < 2) await nextTurn();
  t.true(reasons.every(reason => reason instanceof CodedError));
});

test('the signal of a call that was answered stays quiet', async t => {
  const signals: AbortSignal[] = [];
  const {client} = await serveCri(t, {
    runtime: {
      version: (_, {signal}) => {
        signals.push(signal);
        return Promise.resolve({});
      },
    },
  });
  await client.runtime.version({});
  await client.runtime.version({});
  t.false(signals[0]?.aborted);
});

test('a time-out of more than 24.8 days is no deadline, instead of one that has passed', async t => {
  const {client} = await serveCri(t, {
    runtime: {
      stopContainer: async (_, {deadline}) => {
        t.is(deadline, undefined);
        await nextTurn();
        return {};
      },
      version: (_, {deadline}) => {
        t.not(deadline, undefined);
        return Promise.resolve({});
      },
    },
  });
  await client.runtime.stopContainer({}, {timeoutMs: 30 * 24 * 3_600_000});
  await client.runtime.version({}, {timeoutMs: 24 * 3_600_000});
});

test('a request above 16 MiB is refused before it is read', async t => {
  const {client} = await serveCri(t, {runtime: {execSync: () => Promise.resolve({})}});
  const cmd = ['x'.repeat(17 * 1024 * 1024)];
  await t.throwsAsync(client.runtime.execSync({cmd}), {code: 'RESOURCE_EXHAUSTED'});
});
