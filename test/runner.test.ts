import test from 'ava';
import {findLeftovers} from '#test/run/leftovers';
import {formatTotals, totalsOf} from '#test/run/report';
import {TapReader, type TapTest} from '#test/run/tap';

const TAP = `TAP version 13
ok 1 - a › passes
#   it logged this
not ok 2 - a › fails
  ---
    message: 'one is not two'
  ...
ok 3 - a › waits # SKIP
# a hook of its own

1..3
# tests 3
# pass 1`;

test('a TAP stream is counted, and only what a person wants to read is handed on', t => {
  const tests: TapTest[] = [];
  const details: string[] = [];
  const reader = new TapReader({
    onTest: each => void tests.push(each),
    onDetail: line => void details.push(line),
  });
  for (const line of TAP.split('\n')) reader.push(line);
  t.deepEqual(tests, [
    {ok: true, skipped: false, title: 'a › passes'},
    {ok: false, skipped: false, title: 'a › fails'},
    {ok: true, skipped: true, title: 'a › waits'},
  ]);
  t.deepEqual(details, ['it logged this', "    message: 'one is not two'"]);
  t.deepEqual([reader.passed, reader.failed, reader.skipped], [1, 1, 1]);
});

test('the last line has skipped tests only when there are any', t => {
  const level = {name: 'unit', seconds: 1};
  const results = [
    {...level, passed: 2, failed: 0, skipped: 0},
    {...level, passed: 3, failed: 1, skipped: 0},
  ];
  t.is(formatTotals(totalsOf(results)), '5 passed, 1 failed');
  const skipped = {...level, passed: 0, failed: 0, skipped: 1};
  t.is(formatTotals(totalsOf([...results, skipped])), '5 passed, 1 failed, 1 skipped');
});

test('leftovers are what came and stayed, not what went', t => {
  const before = {interface: ['lo', 'eth0'], mount: ['/', '/old']};
  t.deepEqual(findLeftovers(before, {interface: ['lo', 'eth0'], mount: ['/']}), []);
  const after = {interface: ['lo', 'eth0', 'slipway0'], mount: ['/', '/', '/new', '/new']};
  t.deepEqual(findLeftovers(before, after), ['interface slipway0', 'mount /new']);
});
