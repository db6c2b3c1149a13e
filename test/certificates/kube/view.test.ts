import test from 'ava';
import {keyOf, parseKey} from '#certificates/kube/client';
import {collectionPath, isNewer, objectPath} from '#certificates/kube/resource';
import {createView, type View, type ViewItem} from '#certificates/kube/view';

interface Item extends ViewItem {
  readonly owners: readonly string[];
}

interface Bench {
  readonly view: View<Item>;
  readonly changes: string[];
}

function aView(): Bench {
  const changes: string[] = [];
  const view = createView<Item>({
    indexes: {owner: ({owners}) => owners},
    onChange: ({key, before, after}) => {
      changes.push(`${key} ${before?.resourceVersion ?? '-'} ${after?.resourceVersion ?? '-'}`);
    },
  });
  return {view, changes};
}

const item = (key: string, resourceVersion: string, ...owners: readonly string[]): Item => ({
  key,
  resourceVersion,
  owners,
});

const keys = (items: readonly Item[]): readonly string[] => items.map(({key}) => key).sort();

test('the newest version of an item wins, in whatever order they come', t => {
  const {view, changes} = aView();
  view.observe(item('a', '9'));
  view.observe(item('a', '10'));
  view.observe(item('a', '9'));
  view.observe(item('a', '10'));
  t.is(view.get('a')?.resourceVersion, '10');
  t.deepEqual(changes, ['a - 9', 'a 9 10']);
});

test('an answer that is older than the deletion brings nothing back', t => {
  const {view, changes} = aView();
  view.observe(item('a', '10'));
  view.forget('a', '12');
  view.observe(item('a', '11'));
  t.is(view.get('a'), undefined);
  view.observe(item('a', '13'));
  t.is(view.get('a')?.resourceVersion, '13', 'made again');
  t.deepEqual(changes, ['a - 10', 'a 10 -', 'a - 13']);
});

test('a deletion that comes late does not drop the object that was made after it', t => {
  const {view} = aView();
  view.observe(item('a', '13'));
  view.forget('a', '12');
  t.is(view.size, 1);
});

test('forget() without a version means what is there; what is not there is no change', t => {
  const {view, changes} = aView();
  view.forget('nobody');
  view.observe(item('a', '10'));
  view.forget('a');
  view.observe(item('a', '10'));
  t.is(view.size, 0);
  t.deepEqual(changes, ['a - 10', 'a 10 -']);
});

test('an index follows changes of its values', t => {
  const {view} = aView();
  view.observe(item('a', '1', 'x', 'y'));
  view.observe(item('b', '1', 'x', 'x'));
  view.observe(item('c', '1'));
  t.deepEqual(keys(view.byIndex('owner', 'x')), ['a', 'b']);
  view.observe(item('a', '2', 'y', 'z'));
  t.deepEqual(keys(view.byIndex('owner', 'x')), ['b']);
  t.deepEqual(keys(view.byIndex('owner', 'y')), ['a']);
  t.deepEqual(keys(view.byIndex('owner', 'z')), ['a']);
  view.forget('b');
  t.deepEqual(view.byIndex('owner', 'x'), []);
  view.observe(item('d', '1', 'z'));
  view.observe(item('e', '1', 'z'));
  view.forget('a');
  t.deepEqual(keys(view.byIndex('owner', 'z')), ['d', 'e']);
  t.throws(() => view.byIndex('nobody', 'x'), {instanceOf: TypeError});
});

test('clear() tells of everything that goes, and takes older versions afterwards', t => {
  const {view, changes} = aView();
  view.observe(item('a', '100', 'x'));
  view.forget('b', '100');
  view.clear();
  t.deepEqual(view.byIndex('owner', 'x'), []);
  view.observe(item('a', '5'));
  view.observe(item('b', '5'));
  t.deepEqual(changes, ['a - 100', 'a 100 -', 'a - 5', 'b - 5']);
});

test('the deletions that a view remembers are bounded', t => {
  const {view} = aView();
  for (let index = 0; index < 5_000; index += 1) view.forget(`key-${index}`, '10');
  view.observe(item('key-4999', '9'));
  t.is(view.size, 0);
  view.observe(item('key-0', '9'));
  t.is(view.size, 1);
});

test('keys and paths of objects with and without namespace', t => {
  const issuers = {group: 'a.io', version: 'v1', kind: 'I', plural: 'is', namespaced: true};
  const secrets = {group: '', version: 'v1', kind: 'S', plural: 'ss', namespaced: true};
  t.is(keyOf({namespace: 'shop', name: 'web'}), 'shop/web');
  t.is(keyOf({name: 'web'}), 'web');
  t.deepEqual(parseKey('shop/web'), {namespace: 'shop', name: 'web'});
  t.deepEqual(parseKey('web'), {name: 'web'});
  t.is(collectionPath(issuers), '/apis/a.io/v1/is');
  t.is(collectionPath(issuers, 'shop'), '/apis/a.io/v1/namespaces/shop/is');
  t.is(
    objectPath(secrets, {namespace: 'shop', name: 'a/../b'}),
    '/api/v1/namespaces/shop/ss/a%2F..%2Fb',
  );
  t.is(
    objectPath(issuers, {namespace: 'n', name: 'x'}, 'status'),
    '/apis/a.io/v1/namespaces/n/is/x/status',
  );
});

test('versions are compared as numbers, beyond what a double can hold', t => {
  t.true(isNewer('10', '9'));
  t.false(isNewer('9', '10'));
  t.false(isNewer('10', '10'));
  t.true(isNewer('9007199254740993', '9007199254740992'));
  t.true(isNewer('1', ''));
});
