import test, {type ExecutionContext} from 'ava';
import {
  conditionIsTrue,
  findCondition,
  removeCondition,
  setCondition,
} from '#certificates/apis/conditions';
import {formatGoDuration, parseGoDuration} from '#certificates/apis/duration';
import {isOurs, issuerReference} from '#certificates/apis/issuer-reference';
import {formatTime, parseTime} from '#certificates/apis/time';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

const durations: Readonly<Record<string, number>> = {
  '0': 0,
  '0s': 0,
  '2160h': 2_160 * HOUR_MS,
  '1h30m': 90 * MINUTE_MS,
  '1h0m0s': HOUR_MS,
  '1.5h': 90 * MINUTE_MS,
  '.5s': 500,
  '1.s': 1_000,
  '+5m': 5 * MINUTE_MS,
  '-5m': -5 * MINUTE_MS,
  '30m1h': 90 * MINUTE_MS,
  '1500us': 1,
  '2000µs': 2,
  '2000μs': 2,
  '999999ns': 0,
  '2562047h': 2_562_047 * HOUR_MS,
};

for (const [text, milliseconds] of Object.entries(durations)) {
  test(`parseGoDuration() reads ${text}`, t => {
    t.is(parseGoDuration(text), milliseconds);
  });
}

const noDurations = [
  '',
  ' ',
  '1',
  '90d',
  '1h ',
  '1 h',
  'h',
  '.h',
  '1e3s',
  '--1h',
  '1h-1m',
  'P1D',
  '2562048h',
  `${'9'.repeat(60)}h`,
  `${'1'.repeat(100)}s`,
];

for (const text of noDurations) {
  test(`parseGoDuration() refuses ${JSON.stringify(text.slice(0, 20))}`, t => {
    t.throws(() => parseGoDuration(text), {code: 'ERR_DURATION_INVALID'});
  });
}

const printed: Readonly<Record<string, number>> = {
  '0s': 0,
  '250ms': 250,
  '1.5s': 1_500,
  '5m0s': 5 * MINUTE_MS,
  '1h0m0s': HOUR_MS,
  '2160h0m0s': 2_160 * HOUR_MS,
  '59m30.25s': 59 * MINUTE_MS + 30_250,
  '-1m0s': -MINUTE_MS,
};

for (const [text, milliseconds] of Object.entries(printed)) {
  test(`formatGoDuration() prints ${text}, which is read back`, t => {
    t.is(formatGoDuration(milliseconds), text);
    t.is(parseGoDuration(text), milliseconds);
  });
}

test('formatTime() has whole seconds, and parseTime() reads what it wrote', t => {
  const instant = new Date('2026-11-22T10:11:12.987Z');
  t.is(formatTime(instant), '2026-11-22T10:11:12Z');
  t.deepEqual(parseTime('2026-11-22T10:11:12Z'), new Date('2026-11-22T10:11:12Z'));
  t.deepEqual(parseTime('2026-11-22T12:11:12+02:00'), new Date('2026-11-22T10:11:12Z'));
  t.is(parseTime(undefined), undefined);
  t.is(parseTime('soon'), undefined);
});

const first = new Date('2026-01-01T00:00:00Z');
const later = new Date('2026-01-01T01:00:00Z');
const ready = {type: 'Ready', status: 'True', reason: 'Ready', message: 'up to date'} as const;

test('setCondition() adds a condition with the time', t => {
  t.deepEqual(setCondition(undefined, {...ready, observedGeneration: 2}, first), [
    {...ready, observedGeneration: 2, lastTransitionTime: '2026-01-01T00:00:00Z'},
  ]);
});

test('setCondition() keeps the time while the status is the same, and the place in the list', t => {
  const issuing = {...ready, type: 'Issuing'};
  const before = setCondition(setCondition([], ready, first), issuing, first);
  const [found, other] = setCondition(before, {...ready, reason: 'Other'}, later);
  t.like(found, {type: 'Ready', reason: 'Other', lastTransitionTime: '2026-01-01T00:00:00Z'});
  t.is(other, before[1]);
});

test('setCondition() sets the time when the status changes, or when there was none', t => {
  const before = setCondition([], ready, first);
  const changed = setCondition(before, {...ready, status: 'False'}, later);
  t.is(changed[0]?.lastTransitionTime, '2026-01-01T01:00:00Z');
  const untimed = setCondition([ready], ready, later);
  t.is(untimed[0]?.lastTransitionTime, '2026-01-01T01:00:00Z');
});

test('setCondition() does not change the list that it is given', t => {
  const before = Object.freeze([Object.freeze({...ready})]);
  t.notThrows(() => setCondition(before, {...ready, status: 'Unknown'}, later));
});

test('a condition that is absent, False or Unknown is not true', t => {
  const list = [ready, {...ready, type: 'Issuing', status: 'Unknown' as const}];
  t.true(conditionIsTrue(list, 'Ready'));
  t.false(conditionIsTrue(list, 'Issuing'));
  t.false(conditionIsTrue(list, 'Denied'));
  t.false(conditionIsTrue(undefined, 'Ready'));
  t.is(findCondition(list, 'Denied'), undefined);
  t.deepEqual(removeCondition(list, 'Issuing'), [ready]);
  t.deepEqual(removeCondition(undefined, 'Ready'), []);
});

const meansOurs = (t: ExecutionContext, kind?: string, group?: string): void => {
  const reference = {name: 'ca', kind, group};
  t.deepEqual(issuerReference(reference), {name: 'ca', kind: 'Issuer', group: 'cert-manager.io'});
  t.true(isOurs(reference));
};

test('an issuer reference without kind and group means an Issuer of ours', meansOurs);
test('an empty kind and group mean the same', meansOurs, '', '');
test('so does the whole of it', meansOurs, 'Issuer', 'cert-manager.io');

test('a foreign group keeps its kind', t => {
  const reference = {name: 'a', kind: 'StepIssuer', group: 'step.sm'};
  t.deepEqual(issuerReference(reference), reference);
  t.false(isOurs(reference));
});
