import test from 'ava';
import {Secret} from '#shared/secret';
import {createLog, type LogLevel} from '#shared/log';

function logOf(level: LogLevel, priorities = false) {
  const lines: string[] = [];
  const log = createLog({level, priorities, write: line => lines.push(line)});
  return {log, lines};
}

test('a line has a constant message and variable fields', t => {
  const {log, lines} = logOf('debug');
  log.info('container stopped', {
    id: 'c1',
    waitedMs: 12,
    size: 5n,
    text: 'a b',
    list: ['x', 1n],
    left: undefined,
  });
  t.deepEqual(lines, [
    'info container stopped id=c1 waitedMs=12 size=5 text="a b" list="[\\"x\\",\\"1\\"]"\n',
  ]);
});

test('under systemd a line begins with its priority', t => {
  const {log, lines} = logOf('debug', true);
  for (const level of ['debug', 'info', 'warn', 'error'] as const) log[level]('m');
  t.deepEqual(lines, ['<7>m\n', '<6>m\n', '<4>m\n', '<3>m\n']);
});

test('what is below the level is not written; the level can change', t => {
  const {log, lines} = logOf('warn');
  log.info('a');
  log.setLevel('debug');
  log.debug('b');
  t.deepEqual(lines, ['debug b\n']);
});

test('nothing makes a second line, and nothing is endless', t => {
  const {log, lines} = logOf('info');
  log.info('a\nb', {c: 'd\ne', f: 'x'.repeat(100_000)});
  t.is(lines.join('').indexOf('\n'), lines.join('').length - 1);
  t.true((lines[0]?.length ?? 0) < 10_000);
});

test('an error is logged with its stack, a secret as nothing, a cycle somehow', t => {
  const {log, lines} = logOf('info');
  const cycle: {self?: unknown} = {};
  cycle.self = cycle;
  log.error('m', {error: new Error('why'), password: new Secret('hunter2'), cycle});
  t.regex(lines[0] ?? '', /error="Error: why\\n.*log\.test\.ts/);
  t.true(lines[0]?.includes('[redacted]'));
  t.false(lines[0]?.includes('hunter2'));
});

test('a condition is said once', t => {
  const {log, lines} = logOf('info');
  log.once('ulimit', 'cannot raise limits', {limit: 'nofile'});
  log.once('ulimit', 'cannot raise limits', {limit: 'nproc'});
  t.deepEqual(lines, ['warn cannot raise limits limit=nofile\n']);
});

test('as JSON, a line is one object with time, level, message and fields', t => {
  const lines: string[] = [];
  const log = createLog({
    level: 'info',
    format: 'json',
    now: () => new Date('2026-01-02T03:04:05Z'),
    write: line => lines.push(line),
  });
  log.debug('not written');
  log.warn('certificate\nfailed', {
    certificate: 'ns/a',
    attempts: 2,
    names: ['a', 'b'],
    size: 5n,
    message: 'of the issuer',
    password: new Secret('hunter2'),
    left: undefined,
    error: new Error('why'),
    long: ['x'.repeat(100_000)],
  });
  t.is(lines.length, 1);
  t.is((lines[0] ?? '').trim().split('\n').length, 1);
  t.true((lines[0]?.length ?? 0) < 10_000);
  t.like(JSON.parse(lines[0] ?? ''), {
    time: '2026-01-02T03:04:05.000Z',
    level: 'warn',
    message: 'certificate\nfailed',
    certificate: 'ns/a',
    attempts: 2,
    names: ['a', 'b'],
    size: '5',
    message_: 'of the issuer',
    password: '[redacted]',
  });
});

test('a private key in PEM is never written, in either format', t => {
  const key = '-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----\n';
  for (const format of ['text', 'json'] as const) {
    const lines: string[] = [];
    const log = createLog({level: 'info', format, write: line => lines.push(line)});
    log.error(`cannot read ${key}`, {text: key, nested: {key}, cut: key.slice(0, 40), why: new Error(key)}); // prettier-ignore
    t.false(lines.join('').includes('MHcCAQEE'), lines.join(''));
    t.true(lines.join('').includes('[redacted]'));
  }
});
