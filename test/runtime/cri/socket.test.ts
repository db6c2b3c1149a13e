import {once} from 'node:events';
import {renameSync, statSync, writeFileSync} from 'node:fs';
import {createServer} from 'node:net';
import {join} from 'node:path';
import test from 'ava';
import {createInstrument} from '#runtime/cri/instrument';
import {isAnswered} from '#runtime/cri/listen';
import {startCriServer} from '#runtime/cri/server';
import {createLog} from '#shared/log';
import {someImageHandlers, someRuntimeHandlers} from '#test/cri-handlers';
import {folderOf, serveCri} from '#test/cri-service';

test('the socket is for root and its group only', async t => {
  const {socket} = await serveCri(t, {});
  t.is(statSync(socket).mode & 0o777, 0o660);
  t.is(statSync(join(socket, '..')).mode & 0o777, 0o755);
});

test('a socket that somebody answers is left alone', async t => {
  const {socket} = await serveCri(t, {});
  const second = startCriServer({
    socket,
    runtimeService: someRuntimeHandlers({}),
    imageService: someImageHandlers({}),
    instrument: createInstrument({log: createLog({level: 'error', write: () => undefined})}),
  });
  await t.throwsAsync(second, {code: 'ERR_SOCKET_IN_USE'});
  t.true(await isAnswered(socket));
});

test('a socket left by a dead daemon is replaced, any other file is not', async t => {
  const folder = await folderOf(t);
  const options = {
    runtimeService: someRuntimeHandlers({version: () => Promise.resolve({runtimeName: 'slipway'})}),
    imageService: someImageHandlers({}),
    instrument: createInstrument({log: createLog({level: 'error', write: () => undefined})}),
  };
  const stale = join(folder, 'stale.sock');
  const dead = createServer().listen(stale);
  await once(dead, 'listening');
  renameSync(stale, `${stale}.kept`); // closing would take the file away
  dead.close();
  await once(dead, 'close');
  renameSync(`${stale}.kept`, stale);
  t.false(await isAnswered(stale));
  const server = await startCriServer({...options, socket: stale});
  t.true(await isAnswered(stale));
  await server.stop(0);

  const file = join(folder, 'file');
  writeFileSync(file, 'mine');
  await t.throwsAsync(startCriServer({...options, socket: file}), {code: 'ERR_SOCKET_PATH'});
  const long = join(folder, 'x'.repeat(120));
  await t.throwsAsync(startCriServer({...options, socket: long}), {code: 'ERR_SOCKET_PATH'});
});

test('stop() lets a call in progress end, and cancels it after the grace period', async t => {
  const release = Promise.withResolvers<undefined>();
  const started = Promise.withResolvers<undefined>();
  const {client, server, socket} = await serveCri(t, {
    runtime: {
      version: async () => {
        started.resolve(undefined);
        await release.promise;
        return {runtimeName: 'slipway'};
      },
    },
  });
  const call = client.runtime.version({});
  await started.promise;
  const stopped = server.stop(10_000);
  t.false(await isAnswered(socket));
  release.resolve(undefined);
  t.is((await call).runtimeName, 'slipway');
  await stopped;

  const arrived = Promise.withResolvers<undefined>();
  const second = await serveCri(t, {
    runtime: {
      stopContainer: async (_, {signal}) => {
        arrived.resolve(undefined);
        await once(signal, 'abort');
        return {};
      },
    },
  });
  const hanging = t.throwsAsync(second.client.runtime.stopContainer({}));
  await arrived.promise;
  await second.server.stop(20);
  await hanging;
});
