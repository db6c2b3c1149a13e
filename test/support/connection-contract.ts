import test from 'ava';
import {Readable} from 'node:stream';
import type {Connection, Payload} from '#provisioner/transport/connection';
import {inTime} from './open-ssh.ts';

export const payloadOf = (content: string | Buffer): Payload => ({
  sizeBytes: Buffer.byteLength(content),
  open: () => Readable.from([Buffer.from(content)]),
});

/** Exits 0 if the process whose id is in the file runs; one that nobody has reaped does not. */
const isAlive = (path: string): string =>
  `grep -q '^State:[[:space:]]*[RSDTI] ' "/proc/$(cat ${path})/status"`;

/** Opens a connection to a host that really runs scripts, and its surroundings. */
export type OpenForContract = () => Promise<
  AsyncDisposable & {readonly connection: Connection; readonly directory: string}
>;

/** What every host that runs scripts must do, whatever lies between. */
export function connectionContract(name: string, open: OpenForContract): void {
  const runs = (
    title: string,
    script: string,
    expected: {exitCode?: number; stdout?: string; stderr?: string},
    payload?: Payload,
  ): void => {
    test(`${name}: ${title}`, async t => {
      await using host = await open();
      const input = payload ? {payload} : {};
      const result = await host.connection.run(script, {signal: inTime(), ...input});
      t.like(result, {exitCode: 0, ...expected});
      const after = await host.connection.run('echo in sync', {signal: inTime()});
      t.deepEqual(after, {exitCode: 0, stdout: 'in sync\n', stderr: ''});
    });
  };

  runs('keeps standard output and error apart', 'echo out; echo err >&2', {
    stdout: 'out\n',
    stderr: 'err\n',
  });
  runs('gives back output without a final newline as it is', 'printf "a\\n\\nb"', {
    stdout: 'a\n\nb',
  });
  runs('gives back an exit code, which is no error', 'exit 3', {exitCode: 3});
  runs('exits with the status of the last command', 'true; false', {exitCode: 1});
  runs('stops at the first failure under set -e', 'set -e; false; echo no', {
    exitCode: 1,
    stdout: '',
  });
  runs('runs EXIT traps', 'trap "echo trapped" EXIT; exit 4', {exitCode: 4, stdout: 'trapped\n'});
  runs('reports a script that died of a signal as 128 and its number', 'sh -c "kill -9 \\$\\$"', {
    exitCode: 137,
  });
  runs('survives a syntax error', 'if', {exitCode: 2});
  runs('offers no input without a payload', 'cat; echo end', {stdout: 'end\n'});
  runs('runs an empty script', '', {stdout: ''});
  runs('keeps here-documents whole', 'cat <<EOF\nhi\nEOF', {stdout: 'hi\n'});
  runs('reads back quotes, dollars and UTF-8', `printf %s 'a"b$c\\é€😀'`, {stdout: 'a"b$c\\é€😀'});
  runs('sets a plain locale, path and umask', 'echo $LC_ALL; umask; command -v sysctl dd >&2', {
    stdout: 'C\n0022\n',
  });
  runs('feeds the payload to the script', 'cat', {stdout: 'a\nb\0c'}, payloadOf('a\nb\0c'));
  runs('stays in step when the payload is not read', 'exit 5', {exitCode: 5}, payloadOf('x'.repeat(300_000))); // prettier-ignore
  runs('stays in step when the payload is read in part', 'head -c 2', {stdout: 'xx'}, payloadOf('x'.repeat(300_000))); // prettier-ignore
  runs('feeds an empty payload', 'cat; echo end', {stdout: 'end\n'}, payloadOf(''));
  runs('takes a script of two megabytes', `: ${'x'.repeat(2_000_000)}; echo end`, {
    stdout: 'end\n',
  });
  runs('is not held up by a child in the background', 'sleep 5 >/dev/null 2>&1 & echo $!', {
    exitCode: 0,
  });

  test(`${name}: a script leaves no variable, directory or option behind`, async t => {
    await using host = await open();
    const {connection} = host;
    await connection.run('x=1; export y=2; cd /tmp; set -eu', {signal: inTime()});
    const {stdout} = await connection.run('echo "${x-none} ${y-none} $PWD"; false; echo on', {
      signal: inTime(),
    });
    t.is(stdout, 'none none /\non\n');
  });

  test(`${name}: hands out complete lines while the script runs`, async t => {
    await using host = await open();
    const lines: string[] = [];
    const onLine = (line: string): void => void lines.push(line);
    await host.connection.run('echo a; printf "b\\nc"', {signal: inTime(), onLine});
    t.deepEqual(lines, ['a', 'b']);
  });

  test(`${name}: runs several scripts at the same time, each with its own result`, async t => {
    await using host = await open();
    const numbers = Array.from({length: 12}, (_, index) => String(index));
    const results = await Promise.all(
      numbers.map(n => host.connection.run(`sleep 0.0${n}; echo ${n}`, {signal: inTime()})),
    );
    t.deepEqual(
      results.map(result => result.stdout.trim()),
      numbers,
    );
  });

  test(`${name}: refuses more than 4 MiB of output and goes on`, async t => {
    await using host = await open();
    const {connection} = host;
    const endless = connection.run('cat /dev/zero', {signal: inTime()});
    await t.throwsAsync(endless, {code: 'ERR_HOST_OUTPUT_TOO_LARGE'});
    t.is((await connection.run('echo on', {signal: inTime()})).stdout, 'on\n');
  });

  test(`${name}: kills a script that takes too long, with its children`, async t => {
    await using host = await open();
    const {connection, directory} = host;
    const script = `echo $$ >${directory}/loop; sh -c 'echo $$ >${directory}/child; sleep 600'; :`;
    const slow = connection.run(script, {signal: inTime(), timeoutMs: 500});
    await t.throwsAsync(slow, {code: 'ERR_HOST_TIMEOUT'});
    const left = await connection.run(isAlive(`${directory}/child`), {signal: inTime()});
    t.not(left.exitCode, 0);
  });

  test(`${name}: an abort kills the script and rejects with its reason; others live on`, async t => {
    await using host = await open();
    const {connection, directory} = host;
    const abort = new AbortController();
    const reason = new Error('enough');
    const other = connection.run(`until [ -e ${directory}/go ]; do sleep 0.02; done; echo on`, {
      signal: inTime(),
    });
    const onLine = (): void => {
      abort.abort(reason);
    };
    const script = `sh -c 'echo $$ >${directory}/child; echo started; exec sleep 600'; :`;
    const run = connection.run(script, {signal: abort.signal, onLine});
    t.is(await t.throwsAsync(run), reason);
    const left = await connection.run(isAlive(`${directory}/child`), {signal: inTime()});
    t.not(left.exitCode, 0);
    await connection.run(`: >${directory}/go`, {signal: inTime()});
    t.is((await other).stdout, 'on\n');
  });

  test(`${name}: an aborted signal starts nothing`, async t => {
    await using host = await open();
    const {connection, directory} = host;
    const reason = new Error('never');
    const run = connection.run(`: >${directory}/touched`, {signal: AbortSignal.abort(reason)});
    t.is(await t.throwsAsync(run), reason);
    const {exitCode} = await connection.run(`[ ! -e ${directory}/touched ]`, {signal: inTime()});
    t.is(exitCode, 0);
  });

  test(`${name}: a payload of another size than promised rejects`, async t => {
    await using host = await open();
    const {connection} = host;
    for (const sizeBytes of [2, 4]) {
      const payload = {...payloadOf('abc'), sizeBytes};
      const run = connection.run('cat', {signal: inTime(), payload});
      await t.throwsAsync(run, {code: 'ERR_PAYLOAD_CHANGED'});
    }
    t.is((await connection.run('echo on', {signal: inTime()})).stdout, 'on\n');
  });

  test(`${name}: refuses to run anything once closed`, async t => {
    await using host = await open();
    const {connection} = host;
    const running = connection.run('sleep 600', {signal: inTime()});
    const rejected = t.throwsAsync(running, {code: 'ERR_CONNECTION_LOST'});
    await connection[Symbol.asyncDispose]();
    await rejected;
    const late = connection.run('true', {signal: inTime()});
    await t.throwsAsync(late, {code: 'ERR_CONNECTION_LOST'});
    await connection[Symbol.asyncDispose]();
  });
}
