import test from 'ava';
import {keyOf} from '#certificates/kube/client';
import {backoffMs, startReflector, type Reflector} from '#certificates/kube/reflector';
import type {ReflectorOptions} from '#certificates/kube/reflector';
import type {ResourceType} from '#certificates/kube/resource';
import {createView, type View, type ViewItem} from '#certificates/kube/view';
import type {KubernetesObject} from '#shared/kube/object';
import {createLog} from '#shared/log';
import {MovableClock} from '#test/certificates/movable-clock';
import {createScriptedApi, LineStream, refusal} from '#test/certificates/scripted-api';
import type {Answer, ScriptedApi, ScriptedRequest} from '#test/certificates/scripted-api';

const things: ResourceType = {
  group: 'test.io',
  version: 'v1',
  kind: 'Thing',
  plural: 'things',
  namespaced: true,
};

interface Bench extends AsyncDisposable {
  readonly api: ScriptedApi;
  readonly clock: MovableClock;
  readonly reflector: Reflector;
  readonly view: View<ViewItem & {readonly kind: string}>;
  readonly lines: string[];
  /** The watch that is open now. */
  readonly watch: () => LineStream;
  readonly watches: readonly ScriptedRequest[];
}

interface Script {
  /** Default: an empty list of version 100. */
  readonly list?: (request: ScriptedRequest, count: number) => Answer;
  /** Default: a watch that the test feeds. */
  readonly watch?: (request: ScriptedRequest, count: number) => Answer | undefined;
  readonly options?: Partial<ReflectorOptions<KubernetesObject, ViewItem & {kind: string}>>;
}

function aReflector({list = () => aList([]), watch, options}: Script = {}): Bench {
  const clock = new MovableClock({start: new Date('2026-01-01T00:00:00Z'), frozen: true});
  const lines: string[] = [];
  let current = new LineStream();
  let lists = 0;
  const watches: ScriptedRequest[] = [];
  const api = createScriptedApi(request => {
    if (request.verb === 'list') return list(request, (lists += 1));
    watches.push(request);
    const scripted = watch?.(request, watches.length);
    if (scripted !== undefined) return scripted;
    return (current = new LineStream());
  });
  const view = createView<ViewItem & {readonly kind: string}>({
    indexes: {},
    onChange: () => undefined,
  });
  const reflector = startReflector({
    client: api.client,
    resource: things,
    transform: ({kind, ...object}: KubernetesObject) => ({
      key: keyOf({...object, kind}),
      resourceVersion: object.metadata.resourceVersion ?? '',
      kind,
    }),
    view,
    log: createLog({level: 'debug', write: line => lines.push(line)}),
    clock,
    signal: AbortSignal.timeout(30_000),
    random: () => 0,
    ...options,
  });
  const dispose = async (): Promise<void> => {
    await reflector[Symbol.asyncDispose]();
  };
  return {
    api, clock, reflector, view, lines, watches,
    watch: () => current,
    [Symbol.asyncDispose]: dispose,
  }; // prettier-ignore
}

function aThing(name: string, resourceVersion: string): KubernetesObject {
  const metadata = {namespace: 'n', name, resourceVersion};
  return {apiVersion: 'test.io/v1', kind: 'Thing', metadata};
}

function aList(items: readonly KubernetesObject[], resourceVersion = '100', next = ''): Answer {
  return {json: {metadata: {resourceVersion, continue: next}, items}};
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await new Promise(resolve => setImmediate(resolve));
}

const versions = (view: View<ViewItem>): readonly string[] =>
  [...view.values()].map(({key, resourceVersion}) => `${key}@${resourceVersion}`).sort();

const versionAsked = ({path}: ScriptedRequest): string | null =>
  new URL(path, 'https://api').searchParams.get('resourceVersion');

test('pages are asked for until the last, and then the watch goes on at the version of the list', async t => {
  await using bench = aReflector({
    list: ({path}) =>
      path.includes('continue=next')
        ? aList([aThing('b', '8')], '50')
        : aList([aThing('a', '7')], '50', 'next'),
  });
  await bench.reflector.synced;
  await settle();
  t.deepEqual(versions(bench.view), ['n/a@7', 'n/b@8']);
  t.deepEqual(bench.api.asked(), ['list things', 'list things', 'watch things']);
  const watched = bench.watches[0];
  t.regex(watched?.path ?? '', /allowWatchBookmarks=true.*resourceVersion=50.*timeoutSeconds=300/);
});

test('only the namespace and label that were asked for are listed and watched, and only metadata', async t => {
  await using bench = aReflector({
    options: {namespace: 'shop', labelSelector: 'fao=true', metadataOnly: true},
    list: () => aList([{...aThing('a', '7'), kind: 'PartialObjectMetadata'}]),
  });
  await bench.reflector.synced;
  await settle();
  bench.watch().event('ADDED', {...aThing('b', '8'), kind: 'PartialObjectMetadata'});
  await settle();
  for (const {namespace, path, accept} of bench.api.requests) {
    t.is(namespace, 'shop');
    t.true(path.includes('labelSelector=fao%3Dtrue'));
    t.true(accept?.startsWith('application/json;as=PartialObjectMetadata'));
  }
  t.deepEqual(
    [...bench.view.values()].map(({kind}) => kind),
    ['Thing', 'Thing'],
  );
});

test('events change the view, and the next watch goes on after the last of them', async t => {
  await using bench = aReflector({list: () => aList([aThing('a', '7')])});
  await bench.reflector.synced;
  await settle();
  bench.watch().event('ADDED', aThing('b', '101'));
  bench.watch().event('MODIFIED', aThing('b', '102'));
  bench.watch().event('DELETED', aThing('a', '103'));
  await settle();
  t.deepEqual(versions(bench.view), ['n/b@102']);
  bench.watch().end();
  await settle();
  t.is(bench.watches.length, 2);
  t.is(versionAsked(bench.watches[1] as ScriptedRequest), '103');
});

test('a bookmark moves the watch on without a change', async t => {
  await using bench = aReflector();
  await bench.reflector.synced;
  await settle();
  bench.watch().event('BOOKMARK', {metadata: {resourceVersion: '900'}});
  bench.watch().end();
  await settle();
  t.is(versionAsked(bench.watches[1] as ScriptedRequest), '900');
  t.is(bench.view.size, 0);
});

test('a list that follows drops what is gone, but not what we wrote since', async t => {
  await using bench = aReflector({
    list: (_, count) =>
      count === 1 ? aList([aThing('a', '7'), aThing('b', '8')]) : aList([aThing('b', '8')], '200'),
    watch: (_, count) => (count === 1 ? refusal(410, 'Expired') : undefined),
  });
  await bench.reflector.synced;
  bench.view.observe({key: 'n/ours', resourceVersion: '201', kind: 'Thing'});
  await settle();
  bench.clock.advance(250);
  await settle();
  t.deepEqual(versions(bench.view), ['n/b@8', 'n/ours@201']);
  t.is(versionAsked(bench.watches[1] as ScriptedRequest), '200');
});

test('410 on every watch is a list each time, with growing pauses', async t => {
  await using bench = aReflector({watch: () => refusal(410, 'Expired')});
  await bench.reflector.synced;
  await settle();
  t.is(bench.reflector.failuresInRow, 1);
  for (const pauseMs of [125, 250, 500, 1_000]) {
    const before = bench.watches.length;
    bench.clock.advance(pauseMs - 1);
    await settle();
    t.is(bench.watches.length, before);
    bench.clock.advance(1);
    await settle();
    t.is(bench.watches.length, before + 1);
  }
  t.is(bench.api.asked().filter(each => each === 'list things').length, 5);
});

test('an ERROR event of another kind is no reason to list anew', async t => {
  await using bench = aReflector();
  await bench.reflector.synced;
  await settle();
  bench.watch().event('ERROR', {kind: 'Status', code: 500, message: 'etcd'});
  await settle();
  bench.clock.advance(250);
  await settle();
  t.is(bench.watches.length, 2);
  t.is(bench.api.asked().filter(each => each === 'list things').length, 1);
});

test('a line that is cut off ends the watch, and nothing is lost', async t => {
  await using bench = aReflector();
  await bench.reflector.synced;
  await settle();
  bench.watch().event('ADDED', aThing('a', '101'));
  bench.watch().event('ADDED', 7);
  await settle();
  bench.clock.advance(250);
  await settle();
  t.is(versionAsked(bench.watches[1] as ScriptedRequest), '101');
});

test('a watch that says nothing for too long is given up', async t => {
  await using bench = aReflector({options: {idleMs: 1_000}});
  await bench.reflector.synced;
  await settle();
  const first = bench.watch();
  bench.clock.advance(900);
  first.event('BOOKMARK', {metadata: {resourceVersion: '101'}});
  await settle();
  bench.clock.advance(900);
  await settle();
  t.false(first.left, 'a bookmark is a sign of life');
  bench.clock.advance(100);
  await settle();
  t.true(first.left);
  bench.clock.advance(250);
  await settle();
  t.is(bench.watches.length, 2);
});

test('a watch that ends at once and says nothing is not opened in a busy loop', async t => {
  await using bench = aReflector({
    watch: () => {
      const stream = new LineStream();
      stream.end();
      return stream;
    },
  });
  await bench.reflector.synced;
  await settle();
  t.is(bench.watches.length, 1);
  bench.clock.advance(60_000);
  await settle();
  t.true(bench.watches.length < 5);
});

test('an API that is gone is a warning from the third failure on, and its return is told', async t => {
  let gone = true;
  await using bench = aReflector({list: () => (gone ? new Error('connect') : aList([]))});
  for (const pauseMs of [125, 250]) {
    await settle();
    t.true(bench.lines.every(line => line.startsWith('debug')));
    bench.clock.advance(pauseMs);
  }
  await settle();
  t.is(bench.reflector.failuresInRow, 3);
  t.true(bench.lines.at(-1)?.startsWith('warn'));
  gone = false;
  bench.clock.advance(500);
  await bench.reflector.synced;
  await settle();
  bench.watch().event('ADDED', aThing('a', '101'));
  await settle();
  t.true(bench.lines.at(-1)?.startsWith('info'));
  t.is(bench.reflector.failuresInRow, 0);
});

test('an API with another history (a restored etcd) is read anew from nothing', async t => {
  await using bench = aReflector({
    list: (_, count) =>
      count === 1
        ? aList([aThing('a', '900'), aThing('b', '901')], '1000')
        : aList([aThing('a', '40')], '50'),
    watch: (_, count) => (count === 1 ? refusal(410, 'Expired') : undefined),
  });
  await bench.reflector.synced;
  await settle();
  bench.clock.advance(250);
  await settle();
  t.deepEqual(versions(bench.view), ['n/a@40']);
});

test('an object that cannot be read hides no other', async t => {
  await using bench = aReflector({
    list: () => aList([aThing('bad', '7'), aThing('good', '8')]),
    options: {
      transform: ({metadata, kind}) => {
        if (metadata.name === 'bad') throw new TypeError('no spec');
        return {key: `n/${metadata.name}`, resourceVersion: '8', kind};
      },
    },
  });
  await bench.reflector.synced;
  t.deepEqual(versions(bench.view), ['n/good@8']);
  t.true(bench.lines[0]?.startsWith('error') && bench.lines[0].includes('n/bad'));
});

test('a reflector that is stopped leaves no watch and no timer, and synced rejects if it was not', async t => {
  const bench = aReflector();
  await bench.reflector.synced;
  await settle();
  await bench.reflector[Symbol.asyncDispose]();
  t.true(bench.watch().left);
  t.is(bench.clock.pending, 0);

  const early = aReflector({list: () => new Error('gone')});
  await settle();
  await early.reflector[Symbol.asyncDispose]();
  await t.throwsAsync(early.reflector.synced);
  t.is(early.clock.pending, 0);
});

test('back-off doubles from a quarter of a second to ten seconds, with half of it at random', t => {
  t.is(backoffMs(1, 0), 125);
  t.is(backoffMs(1, 1), 250);
  t.is(backoffMs(3, 1), 1_000);
  t.is(backoffMs(1_000, 1), 10_000);
  t.is(backoffMs(1_000, 0), 5_000);
});
