import test from 'ava';
import {execFileSync} from 'node:child_process';
import {createHmac} from 'node:crypto';
import type {SshTarget} from '#provisioner/transport/connection';
import {OutputSink} from '#provisioner/transport/frame';
import {
  formatFingerprint,
  judgeHostKey,
  orderAlgorithms,
  parseHostKey,
  typeOf,
  type HostKey,
} from '#provisioner/transport/host-key';
import {isAbout, parseKnownHosts} from '#provisioner/transport/known-hosts';
import {formatLockScript, parseLockLine} from '#provisioner/transport/lock';
import {quote} from '#shared/quote';
import {encodeRequest, formatShellCommand} from '#provisioner/transport/shell-loop';
import {createKeyPair} from '#test/key-pair';

// quote()

test('quote() leaves plain words alone and joins an argv', t => {
  t.is(quote('/etc/hosts'), '/etc/hosts');
  t.is(quote(['ls', '-l', 'a b']), "ls -l 'a b'");
});

test('quote() keeps an empty word and never makes an assignment', t => {
  t.is(quote(['env', '', 'A=1']), "env '' 'A=1'");
});

test('quote() gives a shell back exactly the same words', t => {
  const words = ["it's", '$HOME `id` $(id)', 'a\nb', '\\', '"', '*', '~', '#x', '!', '', '-n', 'é'];
  const printed = execFileSync('/bin/sh', ['-c', `printf '%s\\0' ${quote(words)}`]);
  t.deepEqual(printed.toString().split('\0').slice(0, -1), words);
});

test('quote() refuses a NUL byte', t => {
  t.throws(() => quote('a\0b'), {instanceOf: TypeError});
});

// Frames

const nonce = 'c0ffee';
const collect = (chunks: readonly string[]): {sink: OutputSink; lines: string[]} => {
  const lines: string[] = [];
  const sink = new OutputSink({nonce, limitBytes: 100, onLine: line => lines.push(line)});
  for (const chunk of chunks) sink.write(Buffer.from(chunk, 'latin1'));
  return {sink, lines};
};

test('a frame is found wherever the stream is cut', t => {
  const stream = 'one\ntwo c0ffee\nc0ffee x\nc0ffee 12\n';
  for (let first = 0; first <= stream.length; first++) {
    for (let second = first; second <= stream.length; second++) {
      const parts = [stream.slice(0, first), stream.slice(first, second), stream.slice(second)];
      const {sink, lines} = collect(parts);
      t.is(sink.status, 12);
      t.is(sink.text, 'one\ntwo c0ffee\nc0ffee x\n');
      t.deepEqual(lines, ['one', 'two c0ffee', 'c0ffee x']);
    }
  }
});

test('a frame may end in the middle of a line', t => {
  const {sink, lines} = collect(['abcc0ffee 0\n']);
  t.is(sink.text, 'abc');
  t.is(sink.status, 0);
  t.deepEqual(lines, []);
});

test('the nonce with too long a number is not an end', t => {
  const {sink} = collect(['c0ffee 123456789012\nc0ffee 7\n']);
  t.is(sink.text, 'c0ffee 123456789012\n');
  t.is(sink.status, 7);
});

test('UTF-8 stays whole when a chunk ends inside a character', t => {
  const bytes = Buffer.from('€\nc0ffee 0\n');
  const lines: string[] = [];
  const sink = new OutputSink({nonce, limitBytes: 100, onLine: line => lines.push(line)});
  for (const byte of bytes) sink.write(Buffer.from([byte]));
  t.is(sink.text, '€\n');
  t.deepEqual(lines, ['€']);
});

test('more output than the limit is told, the mark not counted', t => {
  const sink = new OutputSink({nonce, limitBytes: 3, onLine: undefined});
  t.is(sink.write(Buffer.from('abc')), 'ok');
  t.is(sink.write(Buffer.from('c0ffee 0\n')), 'ok');
  const small = new OutputSink({nonce, limitBytes: 3, onLine: undefined});
  t.is(small.write(Buffer.from('abcd')), 'too-large');
});

// The command line

test('the command line survives csh and fish: one line, no quote inside its quotes, no "!"', t => {
  const command = formatShellCommand({nonce, sudo: true});
  t.regex(command, /^exec sudo -n -H -- \/bin\/sh -c '[^'!\n]*' provision c0ffee$/);
});

test('a script never shows in the command line, and cannot hold a NUL byte', t => {
  t.throws(() => encodeRequest(nonce, 'a\0b', {kind: 'no-input'}), {instanceOf: TypeError});
  t.is(encodeRequest(nonce, 'true', {kind: 'no-input'}).toString(), 'c0ffee 12 -\ntrue\n#c0ffee');
});

// known_hosts

const keys = [createKeyPair('ed25519'), createKeyPair('ed25519')];
const ecdsa = createKeyPair('ecdsa');
const [first, second] = keys.map(pair => pair.public.trim());
if (first === undefined || second === undefined) throw new Error('two keys were made');
const keyOf = (line: string): HostKey => {
  const blob = Buffer.from(line.split(' ')[1] ?? '', 'base64');
  return {type: typeOf(blob), blob};
};
const hash = (name: string): string => {
  const salt = Buffer.from('0123456789abcdefghij');
  const digest = createHmac('sha1', salt).update(name).digest('base64');
  return `|1|${salt.toString('base64')}|${digest}`;
};
const isKnown = (names: string, address: string, port = 22): boolean =>
  parseKnownHosts(`${names} ${first}`).some(known => isAbout(known, {address, port}));

test('known_hosts names match by list, wildcard, case and port', t => {
  t.true(isKnown('h1,10.0.0.1', '10.0.0.1'));
  t.true(isKnown('H1.Example', 'h1.example'));
  t.true(isKnown('10.0.0.*', '10.0.0.9'));
  t.true(isKnown('h?', 'h7'));
  t.true(isKnown('[h1]:2222', 'h1', 2222));
  t.true(isKnown('fd00::1', 'fd00::1'));
});

test('known_hosts names do not match a negation, another port, or a pattern taken literally', t => {
  t.false(isKnown('*.example,!h1.example', 'h1.example'));
  t.false(isKnown('h1', 'h1', 2222));
  t.false(isKnown('[h1]:2222', 'h1'));
  t.false(isKnown('10.0.0.1', '10x0.0.1'));
});

test('known_hosts names may be hashed, with a port too', t => {
  t.true(isKnown(hash('10.0.0.1'), '10.0.0.1'));
  t.true(isKnown(hash('[10.0.0.1]:2222'), '10.0.0.1', 2222));
  t.false(isKnown(hash('10.0.0.1'), '10.0.0.2'));
  t.false(isKnown('|2|x|y', '10.0.0.1'));
});

test('known_hosts: comments and lines of another form are skipped', t => {
  t.deepEqual(parseKnownHosts('# c\n\nonly-a-name\n@unknown h ssh-ed25519 AAAA\n'), []);
});

// Host keys

const target: SshTarget = {
  host: 'h1',
  address: '10.0.0.1',
  port: 22,
  user: 'root',
  privateKeyPaths: [],
  hostKeys: [],
  knownHostsPaths: [],
};
const judge = (
  shown: string,
  knownHosts: string,
  fields: Partial<SshTarget> = {},
  acceptNew = false,
): string => {
  const verdict = judgeHostKey(keyOf(shown), {
    target: {...target, ...fields},
    knownHosts: parseKnownHosts(knownHosts),
    acceptNew,
  });
  return verdict.kind === 'refused' ? verdict.error.code : verdict.kind;
};

test('a host key is trusted if known_hosts has it', t => {
  t.is(judge(first, `10.0.0.1 ${second}\n10.0.0.1 ${first}`), 'trusted');
});

test('a host key other than the known one is refused, also when new keys are welcome', t => {
  t.is(judge(second, `10.0.0.1 ${first}`), 'ERR_HOST_KEY_MISMATCH');
  t.is(judge(second, `10.0.0.1 ${first}`, {}, true), 'ERR_HOST_KEY_MISMATCH');
});

test('a host known by another type of key only is refused', t => {
  t.is(judge(first, `10.0.0.1 ${ecdsa.public}`, {}, true), 'ERR_HOST_KEY_MISMATCH');
});

test('a host that nothing knows is refused, or new if that is welcome', t => {
  t.is(judge(first, `10.0.0.2 ${first}`), 'ERR_HOST_KEY_UNKNOWN');
  t.is(judge(first, '', {}, true), 'new');
});

test("the inventory's keys stand above known_hosts, as keys and as fingerprints", t => {
  t.is(judge(first, `10.0.0.1 ${second}`, {hostKeys: [first]}), 'trusted');
  t.is(judge(first, '', {hostKeys: [formatFingerprint(keyOf(first).blob)]}), 'trusted');
  t.is(judge(second, `10.0.0.1 ${second}`, {hostKeys: [first]}, true), 'ERR_HOST_KEY_MISMATCH');
});

test('a revoked key is refused whoever else trusts it', t => {
  const revoked = `@revoked * ${first}`;
  t.is(judge(first, `${revoked}\n10.0.0.1 ${first}`), 'ERR_HOST_KEY_REVOKED');
  t.is(judge(first, revoked, {hostKeys: [first]}), 'ERR_HOST_KEY_REVOKED');
});

test('a @cert-authority line vouches for nothing', t => {
  t.is(judge(first, `@cert-authority * ${first}`), 'ERR_HOST_KEY_UNKNOWN');
});

test('the fingerprint is the one that ssh-keygen prints', t => {
  const known = 'AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g';
  const blob = Buffer.from(known, 'base64');
  t.is(typeOf(blob), 'ssh-ed25519');
  t.regex(formatFingerprint(blob), /^SHA256:[A-Za-z0-9+/]{43}$/);
});

test('an expected host key that is neither a key nor a fingerprint is refused', t => {
  for (const text of [
    '',
    'SHA256:short',
    'ssh-ed25519',
    'ssh-rsa AAAA',
    `ssh-rsa ${first.split(' ')[1] ?? ''}`,
  ]) {
    t.throws(() => parseHostKey(text), {code: 'ERR_HOST_KEY_INVALID'}, text);
  }
});

test('signature algorithms of known keys are offered first, SHA-1 never', t => {
  const known = parseKnownHosts(`10.0.0.1 ${ecdsa.public}\n10.0.0.1 ssh-rsa AAAA`);
  const order = orderAlgorithms({target, knownHosts: known});
  t.deepEqual(order.slice(0, 3), ['ecdsa-sha2-nistp256', 'rsa-sha2-512', 'rsa-sha2-256']);
  t.is(order.length, 6);
  t.false((order as string[]).includes('ssh-rsa'));
});

// Lock lines

test("the lock's lines are told from other output", t => {
  t.deepEqual(parseLockLine('locked'), {kind: 'locked'});
  t.deepEqual(parseLockLine('held run 7 by a@b'), {kind: 'held', text: 'run 7 by a@b'});
  t.is(parseLockLine('locked out'), undefined);
});

test("a lock's owner is one line", t => {
  t.throws(() => formatLockScript({path: '/run/x', owner: 'a\nb'}), {instanceOf: TypeError});
});
