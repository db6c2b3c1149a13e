import test from 'ava';
import type {CertificateSpec} from '#certificates/apis/certificate';
import {renewalTime} from '#certificates/policies/renewal';
import {fitIntoWindows} from '#certificates/policies/renewal-windows';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const notBefore = new Date('2026-03-01T00:00:00Z'); // a Sunday
const notAfter = new Date(notBefore.getTime() + 90 * DAY_MS); // 2026-05-30, a Saturday

function renewal(spec: Partial<CertificateSpec>, life: object = {}) {
  const whole = {secretName: 's', issuerRef: {name: 'i'}, ...spec};
  const {at, windowProblem} = renewalTime({notBefore, notAfter, ...life}, whole);
  return {at: at?.toISOString().replace('.000Z', 'Z'), problem: windowProblem !== undefined};
}

for (const [title, spec, at] of [
  ['nothing said: a third of the life remains', {}, '2026-04-30T00:00:00Z'],
  ['renewBefore', {renewBefore: '24h'}, '2026-05-29T00:00:00Z'],
  ['renewBefore with minutes', {renewBefore: '1h30m'}, '2026-05-29T22:30:00Z'],
  ['renewBefore as long as the life: the default', {renewBefore: '2160h'}, '2026-04-30T00:00:00Z'],
  [
    'renewBefore longer than the life: the default',
    {renewBefore: '99999h'},
    '2026-04-30T00:00:00Z',
  ],
  ['renewBefore 0: the default', {renewBefore: '0s'}, '2026-04-30T00:00:00Z'],
  ['renewBefore negative: the default', {renewBefore: '-1h'}, '2026-04-30T00:00:00Z'],
  ['renewBefore unreadable: the default', {renewBefore: 'soon'}, '2026-04-30T00:00:00Z'],
  ['10 % of the life remains', {renewBeforePercentage: 10}, '2026-05-21T00:00:00Z'],
  ['90 % of the life remains', {renewBeforePercentage: 90}, '2026-03-10T00:00:00Z'],
  ['a percentage of 0: the default', {renewBeforePercentage: 0}, '2026-04-30T00:00:00Z'],
  ['a percentage of 100: the default', {renewBeforePercentage: 100}, '2026-04-30T00:00:00Z'],
  [
    'both: renewBefore counts',
    {renewBefore: '24h', renewBeforePercentage: 50},
    '2026-05-29T00:00:00Z',
  ],
  ['never', {renewal: {policy: 'Disabled'}}, undefined],
  ['policy RenewBefore', {renewal: {policy: 'RenewBefore'}}, '2026-04-30T00:00:00Z'],
] as const) {
  test(`renewal: ${title}`, t => {
    t.deepEqual(renewal(spec), {at, problem: false});
  });
}

// The default instant is Thursday, 30 April, 00:00 UTC.
for (const [title, windows, at] of [
  [
    'inside a window it stays',
    [{cron: '0 22 * * *', windowDuration: '4h'}],
    '2026-04-30T00:00:00Z',
  ],
  [
    'at the start of a window it stays',
    [{cron: '0 0 * * *', windowDuration: '1h'}],
    '2026-04-30T00:00:00Z',
  ],
  [
    'at the end of a window it goes to the next',
    [{cron: '0 22 * * *', windowDuration: '2h'}],
    '2026-04-30T22:00:00Z',
  ],
  [
    'before a window it goes to its start',
    [{cron: '0 2 * * 6', windowDuration: '2h'}],
    '2026-05-02T02:00:00Z',
  ],
  [
    'a window in another time zone',
    [{cron: '0 2 * * 6', windowDuration: '2h', timezone: 'Europe/Berlin'}],
    '2026-05-02T00:00:00Z',
  ],
  [
    'the earliest of several',
    [
      {cron: '0 2 * * 6', windowDuration: '2h'},
      {cron: '0 5 * * 5', windowDuration: '30m'},
    ],
    '2026-05-01T05:00:00Z',
  ],
  [
    'inside one of several',
    [
      {cron: '0 2 * * 6', windowDuration: '2h'},
      {cron: '0 0 * * 4', windowDuration: '30m'},
    ],
    '2026-04-30T00:00:00Z',
  ],
  [
    'the next comes after the end: back to the one before',
    [{cron: '0 3 1 * *', windowDuration: '1h'}],
    '2026-05-01T03:00:00Z',
  ],
  [
    'once a year, before the wish',
    [{cron: '0 3 15 4 *', windowDuration: '1h'}],
    '2026-04-15T03:00:00Z',
  ],
] as const) {
  test(`renewal windows: ${title}`, t => {
    t.deepEqual(renewal({renewal: {windows}}), {at, problem: false});
  });
}

test('renewal windows: the last one before the end counts, not one that begins as it ends', t => {
  const windows = [{cron: '0 0 30 * *', windowDuration: '1h'}]; // 30 April 00:00 and 30 May 00:00
  t.deepEqual(renewal({renewBefore: '12h', renewal: {windows}}), {
    at: '2026-04-30T00:00:00Z',
    problem: false,
  });
});

for (const [title, windows] of [
  ['none in the life of the certificate', [{cron: '0 0 1 1 *', windowDuration: '1h'}]],
  ['a day that does not exist', [{cron: '0 0 31 2 *', windowDuration: '1h'}]],
  ['a schedule that cannot be read', [{cron: 'every day', windowDuration: '1h'}]],
  ['six fields', [{cron: '* * * * * *', windowDuration: '1h'}]],
  ['a dialect of others', [{cron: '0 0 31 2,4,6,9,11 +0-6', windowDuration: '1h'}]],
  [
    'more windows than are searched',
    Array.from({length: 51}, () => ({cron: '0 3 * * *', windowDuration: '1h'})),
  ],
  [
    'a time zone that does not exist',
    [{cron: '0 0 1 1 *', windowDuration: '1h', timezone: 'Mars/Phobos'}],
  ],
  ['a duration that cannot be read', [{cron: '0 0 * * *', windowDuration: 'long'}]],
] as const) {
  test(`renewal windows: ${title}: it is renewed as without, and the problem is told`, t => {
    t.deepEqual(renewal({renewal: {windows}}), {at: '2026-04-30T00:00:00Z', problem: true});
  });
}

for (let hour = 0; hour < 24 * 90; hour += 37) {
  const remainsMs = notAfter.getTime() - notBefore.getTime() - hour * HOUR_MS;
  test(`renewal windows never put renewal after the end: wish at hour ${hour}`, t => {
    for (const cron of ['0 3 * * *', '30 4 * * 0', '0 0 1 * *', '0 12 15 */2 *']) {
      const windows = [{cron, windowDuration: '2h'}];
      const spec = {renewBefore: `${remainsMs / HOUR_MS}h`, renewal: {windows}};
      const {at} = renewal(spec);
      t.truthy(at);
      t.true(new Date(at ?? 0) < notAfter, `${cron}: ${at ?? ''}`);
      t.true(new Date(at ?? 0) >= notBefore, `${cron}: ${at ?? ''}`);
    }
  });
}

test('renewal windows are searched once for the same certificate', t => {
  const windows = () => [{cron: '0 3 * * *', windowDuration: '1h'}];
  const fit = (at: Date) => fitIntoWindows(at, {windows: windows(), notBefore, notAfter});
  const at = new Date('2026-04-30T00:00:00Z');
  t.is(fit(at), fit(new Date(at)));
  t.not(fit(at), fit(new Date(at.getTime() + 1_000)));
});

test('renewal: whole seconds', t => {
  const life = {notAfter: new Date(notAfter.getTime() + 999)};
  t.is(renewal({renewBefore: '1h'}, life).at, '2026-05-29T23:00:00Z');
});

test('renewal: a certificate that was old when it came is renewed in what remains of its life', t => {
  const requestedAt = new Date(notAfter.getTime() - 3 * DAY_MS);
  t.is(renewal({}, {requestedAt}).at, '2026-05-29T00:00:00Z');
});

test('renewal: a certificate that ends before it begins is due at once', t => {
  t.is(renewal({}, {notAfter: new Date(notBefore.getTime() - 1)}).at, '2026-03-01T00:00:00Z');
});
