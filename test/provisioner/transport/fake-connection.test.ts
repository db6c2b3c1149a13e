import test from 'ava';
import {payloadOf} from '#test/connection-contract';
import {FakeConnection} from '#test/fake-connection';
import {inTime} from '#test/open-ssh';

test('a fake records scripts and payloads, and answers by its function', async t => {
  const fake = new FakeConnection({
    respond: ({script}) => (script === 'a' ? 'one\ntwo' : {exitCode: 3, stderr: 'no\n'}),
  });
  const lines: string[] = [];
  const onLine = (line: string): void => void lines.push(line);
  const first = await fake.run('a', {signal: inTime(), onLine, payload: payloadOf('x')});
  t.deepEqual(first, {exitCode: 0, stdout: 'one\ntwo', stderr: ''});
  t.deepEqual(lines, ['one']);
  const second = await fake.run('b', {signal: inTime()});
  t.deepEqual(second, {exitCode: 3, stdout: '', stderr: 'no\n'});
  t.deepEqual(fake.runs, [
    {script: 'a', payload: Buffer.from('x')},
    {script: 'b', payload: undefined},
  ]);
});

test('a fake rejects with an error that its function gives', async t => {
  const error = new Error('disk on fire');
  const fake = new FakeConnection({respond: () => error});
  t.is(await t.throwsAsync(fake.run('a', {signal: inTime()})), error);
});

test('a fake notices an abort, a dropped connection and its own end', async t => {
  const never = new Promise<string>(() => undefined);
  const fake = new FakeConnection({respond: () => never});
  const abort = new AbortController();
  const run = fake.run('a', {signal: abort.signal});
  abort.abort(new Error('enough'));
  await t.throwsAsync(run, {message: 'enough'});
  const dropped = fake.run('a', {signal: inTime()});
  fake.drop();
  await t.throwsAsync(dropped, {code: 'ERR_CONNECTION_LOST'});
  const closed = new FakeConnection();
  await closed[Symbol.asyncDispose]();
  t.true(closed.isClosed);
  await t.throwsAsync(closed.run('a', {signal: inTime()}), {code: 'ERR_CONNECTION_LOST'});
});

test('a fake refuses a payload of another size, and a lock that another run holds', async t => {
  const fake = new FakeConnection({heldLocks: new Map([['/run/lock', 'run 7']])});
  const payload = {...payloadOf('abc'), sizeBytes: 4};
  await t.throwsAsync(fake.run('a', {signal: inTime(), payload}), {code: 'ERR_PAYLOAD_CHANGED'});
  const locking = fake.lock('/run/lock', {owner: 'me', signal: inTime()});
  await t.throwsAsync(locking, {code: 'ERR_LOCKED'});
  await fake.lock('/run/other', {owner: 'me', signal: inTime()});
  t.deepEqual(fake.locks, [{path: '/run/other', owner: 'me'}]);
});
