import test from 'ava';
import {healthPages, type Phase} from '#certificates/server/health';
import {serveHealth, serveMetrics} from '#certificates/server/listen';
import {servePages} from '#shared/serve-pages';

function pagesAt(phase: Phase) {
  const clock = {wallMs: 1_000_000, monotonicMs: 5_000};
  const pages = healthPages({
    phase: () => phase,
    nowMs: () => clock.wallMs,
    monotonicMs: () => clock.monotonicMs,
  });
  const ask = (path: string) => {
    const {status, body} = pages[path]?.() ?? {status: 0, body: ''};
    return {status, body: typeof body === 'string' ? body : ''};
  };
  return {clock, ask};
}

for (const [phase, status] of [
  ['starting', 503],
  ['standing by', 200],
  ['reading', 200],
  ['working', 200],
  ['ending', 503],
] as const) {
  test(`/readyz is ${status} while ${phase}, /livez and /healthz are 200`, t => {
    const {ask} = pagesAt(phase);
    t.is(ask('/readyz').status, status);
    t.true(ask('/readyz').body.includes(phase));
    t.is(ask('/livez').status, 200);
    t.is(ask('/healthz').status, 200);
  });
}

test('/livez fails when the clock was set by more than 5 minutes, or the machine slept', t => {
  const {clock, ask} = pagesAt('working');
  clock.wallMs += 3_600_000;
  clock.monotonicMs += 3_600_000;
  t.is(ask('/livez').status, 200, 'an hour of work');
  clock.wallMs += 299_000;
  t.is(ask('/livez').status, 200);
  clock.wallMs += 2_000;
  t.is(ask('/livez').status, 500);
  clock.wallMs -= 700_000;
  t.is(ask('/livez').status, 500, 'backwards');
});

test('metrics are served in pieces, as they are read', async t => {
  const server = await serveMetrics('127.0.0.1:0', function* text() {
    for (let piece = 0; piece < 1000; piece++) yield `a{piece="${piece}"} 1\n`;
  });
  t.teardown(server.close);
  const answer = await fetch(`http://${server.address}/metrics`);
  t.is(answer.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  t.is((await answer.text()).split('\n').length, 1001);
  const head = await fetch(`http://${server.address}/metrics`, {method: 'HEAD'});
  t.is(await head.text(), '');
  t.is((await fetch(`http://${server.address}/metrics`, {method: 'POST'})).status, 405);
  t.is((await fetch(`http://${server.address}/secrets`)).status, 404);
});

test('a reader that goes away in the middle harms nobody', async t => {
  let pieces = 0;
  const body = {
    *[Symbol.iterator]() {
      for (; pieces < 100_000; pieces++) yield 'x'.repeat(10_000);
    },
  };
  const server = await servePages('127.0.0.1:0', {
    '/long': () => ({contentType: 'text/plain', body}),
    '/broken': () => ({contentType: 'text/plain', body: broken()}),
    '/short': () => ({contentType: 'text/plain', body: 'ok'}),
  });
  t.teardown(server.close);
  const controller = new AbortController();
  const answer = await fetch(`http://${server.address}/long`, {signal: controller.signal});
  await answer.body?.getReader().read();
  controller.abort();
  await t.throwsAsync(fetch(`http://${server.address}/broken`).then(each => each.text()));
  t.is(await (await fetch(`http://${server.address}/short`)).text(), 'ok');
  t.true(pieces < 100_000, 'nobody reads on');
});

test('an address that cannot be listened on is a coded error that names the flag', async t => {
  const taken = await serveHealth('127.0.0.1:0', {
    phase: () => 'working',
    nowMs: Date.now,
    monotonicMs: () => performance.now(),
  });
  t.teardown(taken.close);
  const error = await t.throwsAsync(
    serveMetrics(taken.address, () => []),
    {
      code: 'ERR_LISTEN_ADDRESS',
    },
  );
  t.true((error as {hint?: string}).hint?.includes('--metrics-listen-address'));
});

function* broken(): Iterable<string> {
  yield 'a';
  throw new Error('broken');
}
