import test from 'ava';
import type {RunEvent} from '#provisioner/engine/events';
import {formatTable} from '#shared/table';
import {formatEvent, formatOutcomes, formatPlan, plural} from '#provisioner/report/text-report';
import {Timeline} from '#provisioner/report/timeline';

const says = test.macro((t, event: RunEvent, expected: string | undefined) => {
  t.is(formatEvent(event, 12.34), expected);
});

test('a run begins with its hosts and its name', says, {
  type: 'run-started', version: 1, run: '2026-x', action: 'apply', cluster: 'lab', hosts: ['h1', 'h2'],
}, 'apply lab: h1, h2 (run 2026-x)'); // prettier-ignore
test('what ended well has its time and its changes', says, {
  type: 'task-finished', phase: 'os', host: 'h1', changes: 2, seconds: 1.26,
}, '  12.3 h1 os done in 1.3 s, 2 changes'); // prettier-ignore
test('what changed nothing does not say so', says, {
  type: 'task-finished', phase: 'verify', changes: 0, seconds: 1,
}, '  12.3 cluster verify done in 1.0 s'); // prettier-ignore
test('a failure has its code, every line of its message and the next step', says, {
  type: 'task-failed', phase: 'init', host: 'h1', code: 'ERR_X', message: 'one\ntwo', hint: 'mend it',
}, '  12.3 h1 init FAILED ERR_X\n      one\n      two\n      next: mend it'); // prettier-ignore
test('what was skipped says why', says, {
  type: 'task-skipped', phase: 'join', host: 'h2', reason: 'init@h1 did not succeed',
}, '  12.3 h2 join skipped: init@h1 did not succeed'); // prettier-ignore
test('a message is a line', says, {type: 'message', text: 'made x'}, 'made x');
test('a start is not worth a line', says, {type: 'task-started', phase: 'os'}, undefined);
test('progress is not worth a line', says, {type: 'task-progress', phase: 'os', text: 'x'}, undefined); // prettier-ignore
test('the end is told by the command', says, {
  type: 'run-finished', ok: true, exitCode: 0, changes: 0, seconds: 1, hosts: [],
}, undefined); // prettier-ignore

test('an empty plan is one line', t => {
  t.is(formatPlan([]), 'plan: 0 changes');
  t.is(formatPlan([{host: 'h1', changes: []}]), 'plan: 0 changes');
});

test('a plan has a sign per kind of change, diffs indented, and the sum', t => {
  const change = (action: string, diff?: string) => ({
    phase: 'os',
    id: `x:${action}`,
    action,
    summary: 'why',
    ...(diff === undefined ? {} : {diff}),
  });
  const actions = ['create', 'remove', 'restart', 'run', 'record'];
  const text = formatPlan([
    {host: 'h1', changes: [change('update', '-a\n+b'), ...actions.map(each => change(each))]},
    {host: 'cluster', changes: [change('run')]},
  ]);
  t.is(
    text,
    [
      'h1:',
      '  ~ x:update: why',
      '      -a',
      '      +b',
      '  + x:create: why',
      '  - x:remove: why',
      '  ! x:restart: why',
      '  > x:run: why',
      '  = x:record: why',
      'cluster:',
      '  > x:run: why',
      'plan: 7 changes',
    ].join('\n'),
  );
});

test('how hosts ended is a table', t => {
  const text = formatOutcomes([
    {host: 'h1', state: 'done', changes: 12},
    {host: 'worker-2', state: 'failed', changes: 3, phase: 'join', code: 'ERR_KUBEADM_JOIN_FAILED'},
    {host: 'h3', state: 'not-finished', changes: 0, phase: 'join'},
  ]);
  t.deepEqual(text.split('\n'), [
    'HOST      STATE         CHANGES  STOPPED AT  ERROR',
    'h1        done          12',
    'worker-2  failed        3        join        ERR_KUBEADM_JOIN_FAILED',
    'h3        not finished  0        join',
  ]);
});

test('a table without rows is its header; short rows are filled', t => {
  t.is(formatTable(['A', 'B'], []), 'A  B');
  t.is(formatTable(['A', 'B'], [['long']]), 'A     B\nlong');
});

test('plural() knows one', t => {
  t.deepEqual(
    [plural(0, 'change'), plural(1, 'change'), plural(2, 'change')],
    ['0 changes', '1 change', '2 changes'],
  );
});

test('a phase lasts from its first start to its last end, over all hosts', t => {
  const timeline = new Timeline();
  const start = (phase: string, host: string, atMs: number): void => {
    timeline.add({type: 'task-started', phase, host}, atMs);
  };
  const end = (phase: string, host: string, atMs: number): void => {
    timeline.add({type: 'task-finished', phase, host, changes: 1, seconds: 0}, atMs);
  };
  start('runtime', 'h1', 2_000);
  start('os', 'h1', 0);
  start('os', 'h2', 500);
  end('os', 'h1', 1_000);
  const failed = {code: 'ERR_X', message: '', hint: ''};
  timeline.add({type: 'task-failed', phase: 'os', host: 'h2', ...failed}, 3_000);
  end('runtime', 'h1', 2_500);
  timeline.add({type: 'task-started', phase: 'verify'}, 9_000); // does not end
  t.deepEqual(timeline.format().split('\n'), [
    'PHASE      FROM      TO       S',
    'os          0.0     3.0     3.0',
    'runtime     2.0     2.5     0.5',
  ]);
});
