import test from 'ava';
import {HostRecord} from '#provisioner/host-state/host-record';
import {
  emptyHostState,
  formatHostState,
  type HostState,
  isOurs,
  parseHostState,
} from '#provisioner/host-state/host-state';
import {FakeConnection} from '#test/fake-connection';
import {FolderHost} from '#test/folder-host';
import {inTime} from '#test/open-ssh';

const full: HostState = {
  ...emptyHostState('lab'),
  bootId: 'boot-1',
  resources: {
    'package:b': {digest: 'd', installed: ['b', 'lib-b']},
    'artifact:/bin/x': {digest: 'd', stat: '1 2 3.0'},
    'sysctl:a.b': {digest: 'd', previous: '0'},
  },
  pending: ['file:/a'],
  startedWith: {'x.service': 'd'},
  actions: {'kubeadm-init': {status: 'done', digest: 'd', keys: {'metadata.name': 'lab'}}},
};

test('a state is read back as it was written', t => {
  t.deepEqual(parseHostState(formatHostState(full)), full);
  t.deepEqual(parseHostState(formatHostState(emptyHostState('x'))), emptyHostState('x'));
});

test('the same state is the same bytes, whatever the order of its keys', t => {
  const reversed = Object.fromEntries(Object.entries(full).reverse()) as HostState;
  const resources = Object.fromEntries(Object.entries(full.resources).reverse());
  t.is(formatHostState({...reversed, resources}), formatHostState(full));
  t.true(formatHostState(full).endsWith('}\n'));
});

const refused = test.macro((t, text: string) => {
  t.is(parseHostState(text), undefined);
});
test(
  'a state of a newer version is not understood',
  refused,
  JSON.stringify({...full, version: 2}),
);
test('half a state is not understood', refused, formatHostState(full).slice(0, 200));
test('an empty file is not understood', refused, '');
test('a state with a field of its own is not understood', refused, JSON.stringify({...full, extra: 1})); // prettier-ignore
test('a state without a field is not understood', refused, JSON.stringify({...full, pending: undefined})); // prettier-ignore
test('another JSON value is not understood', refused, '[]');

test('what was made or was about to be made is ours, anything else is not', t => {
  t.true(isOurs(full, 'package:b'));
  t.true(isOurs(full, 'file:/a'));
  t.false(isOurs(full, 'file:/b'));
});

const set = (bootId: string) => (state: HostState) => ({...state, bootId});

test('the disk comes first: memory keeps the old state when the host cannot write', async t => {
  const connection = new FakeConnection({respond: () => ({exitCode: 1, stderr: 'Read-only'})});
  const record = new HostRecord(connection, emptyHostState('lab'));
  await t.throwsAsync(record.update(set('b')), {code: 'ERR_HOST_STATE_UNWRITABLE'});
  t.is(record.state.bootId, '');
});

test('a full disk has its own code', async t => {
  const stderr = 'base64: write error: No space left on device\n';
  const connection = new FakeConnection({respond: () => ({exitCode: 1, stderr})});
  const record = new HostRecord(connection, emptyHostState('lab'));
  await t.throwsAsync(record.update(set('b')), {code: 'ERR_DISK_FULL'});
});

test('updates take turns, each sees what the one before it wrote, a failure does not stop the next', async t => {
  const gate = Promise.withResolvers<string>();
  let runs = 0;
  const connection = new FakeConnection({
    respond: () => (runs++ === 0 ? gate.promise : runs === 2 ? {exitCode: 1} : ''),
  });
  const record = new HostRecord(connection, emptyHostState('lab'));
  const add = (id: string) => (state: HostState) => ({...state, pending: [...state.pending, id]});
  const updates = ['a', 'b', 'c'].map(id => record.update(add(id)));
  t.is(connection.runs.length, 0);
  gate.resolve('');
  const results = await Promise.allSettled(updates);
  t.deepEqual(results.map(({status}) => status), ['fulfilled', 'rejected', 'fulfilled']); // prettier-ignore
  t.deepEqual(record.state.pending, ['a', 'c']);
  t.is(connection.runs.length, 3);
});

test('a state that stays the same is not written', async t => {
  const connection = new FakeConnection();
  const record = new HostRecord(connection, full);
  await record.update(state => ({...state}));
  t.is(connection.runs.length, 0);
});

test('an aborted signal starts no write; without a signal a write is made whatever happens', async t => {
  const connection = new FakeConnection();
  const record = new HostRecord(connection, full);
  const reason = new Error('enough');
  const signal = AbortSignal.abort(reason);
  t.is(await t.throwsAsync(record.update(set('b'), {signal})), reason);
  t.is(connection.runs.length, 0);
  await record.update(set('c'));
  t.is(record.state.bootId, 'c');
});

test('a write that has begun ends, although the run is interrupted meanwhile', async t => {
  const abort = new AbortController();
  const connection = new FakeConnection({
    respond: () => {
      abort.abort();
      return '';
    },
  });
  const record = new HostRecord(connection, full);
  await record.update(set('b'), {signal: abort.signal});
  t.is(record.state.bootId, 'b');
});

test('on a host the file is readable by its owner only, and is replaced as a whole', async t => {
  using host = new FolderHost();
  const connection = host.connection();
  const record = new HostRecord(connection, emptyHostState('lab'));
  await record.update(() => full, {signal: inTime()});
  t.is(host.read('slipway/state.json'), formatHostState(full));
  const {stdout} = await host.run({script: 'stat -c %a /var/lib/slipway/state.json; ls -A /var/lib/slipway'}); // prettier-ignore
  t.is(stdout, '600\nstate.json\n');
  await record.forget(emptyHostState('lab'));
  t.deepEqual(record.state, emptyHostState('lab'));
});
