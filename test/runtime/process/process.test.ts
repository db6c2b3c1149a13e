import {fstatSync, readFileSync, readSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {endOomProtection} from '#runtime/process/oom-protection';
import {openPipe} from '#runtime/process/pipe';
import {runCommand} from '#runtime/process/run';
import {spawnProcess} from '#runtime/process/spawn';
import {close} from '#runtime/sys/libc';
import {processStartTime} from '#runtime/sys/processes';
import {waitFor} from '#shared/wait-for';
import {temporaryFolder} from '#test/temporary-folder';
import test from 'ava';

const {signal} = new AbortController();
const TIMEOUT_MS = 20_000;
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const shell = (script: string): readonly string[] => ['/bin/sh', '-c', script];

test('a process gives up the protection that it inherited, and nothing else', async t => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'oom_score_adj');
  for (const [before, after] of [
    ['-999\n', '0'],
    ['0\n', '0\n'],
    ['300\n', '300\n'],
  ] as const) {
    writeFileSync(path, before);
    endOomProtection(path);
    t.is(readFileSync(path, 'utf8'), after);
  }
  t.notThrows(() => { endOomProtection(join(folder.path, 'missing')); }); // prettier-ignore
});

test('runCommand() gives what a program wrote and its exit code', async t => {
  const result = await runCommand({
    command: shell('cat; echo no >&2; exit 3'),
    input: 'in',
    signal,
  });
  t.is(result.exitCode, 3);
  t.is(text(result.stdout), 'in');
  t.is(text(result.stderr), 'no\n');
  t.false(result.truncated);
});

test('runCommand() gives the program exactly the environment and directory asked for', async t => {
  const command = ['sh', '-c', 'env | sort; pwd'];
  const environment = {ONE: 'ein s', TWO: 'ü=1', PATH: '/usr/bin:/bin'};
  const {stdout} = await runCommand({command, environment, cwd: '/proc', signal});
  t.is(text(stdout), 'ONE=ein s\nPATH=/usr/bin:/bin\nPWD=/proc\nTWO=ü=1\n/proc\n');
});

test('runCommand() keeps the beginning of a long output, reads the rest and says so', async t => {
  const command = shell('head -c 3000000 /dev/zero | tr "\\0" x; exit 7');
  const {exitCode, stdout, truncated} = await runCommand({command, maxOutputBytes: 1_000, signal});
  t.is(exitCode, 7);
  t.is(text(stdout), 'x'.repeat(1_000));
  t.true(truncated);
});

test('runCommand() takes megabytes of input, and a program that does not read them', async t => {
  const input = Buffer.alloc(3_000_000, 'y');
  const {stdout} = await runCommand({command: ['wc', '-c'], input, signal});
  t.is(text(stdout).trim(), '3000000');
  t.is((await runCommand({command: ['true'], input, signal})).exitCode, 0);
});

test('runCommand() kills the whole group of a program that takes too long', async t => {
  await using folder = await temporaryFolder();
  const command = shell('sleep 1000 & echo $! > pid; wait');
  const run = runCommand({command, cwd: folder.path, timeoutMs: 2_000, signal});
  await t.throwsAsync(run, {code: 'ERR_COMMAND_TIMED_OUT'});
  await gone(Number(readFileSync(join(folder.path, 'pid'), 'utf8')));
  t.pass();
});

test('runCommand() kills the whole group when it is aborted, and throws the reason', async t => {
  await using folder = await temporaryFolder();
  const stop = new AbortController();
  const command = shell('sleep 1000 & echo $! > pid.new; mv pid.new pid; wait');
  const run = runCommand({command, cwd: folder.path, signal: stop.signal});
  const pid = await waitFor(() => readPid(join(folder.path, 'pid')), {
    signal,
    timeoutMs: TIMEOUT_MS,
  });
  stop.abort(new RangeError('enough'));
  await t.throwsAsync(run, {instanceOf: RangeError});
  await gone(pid);
});

test('runCommand() starts nothing once it is aborted', async t => {
  const command = shell('exit 0');
  await t.throwsAsync(runCommand({command, signal: AbortSignal.abort(new RangeError('enough'))}), {
    instanceOf: RangeError,
  });
});

test('runCommand() does not wait for a grandchild that keeps the streams open', async t => {
  const command = shell('(trap "" HUP; exec sleep 1000) & echo $!');
  const {exitCode, stdout} = await runCommand({command, signal});
  t.is(exitCode, 0);
  process.kill(Number(text(stdout)), 'SIGKILL');
});

test('a child has no descriptors but those it was given', async t => {
  const {stdout} = await runCommand({command: shell('ls /proc/self/fd | tr "\\n" " "'), signal});
  // The fourth is the directory that ls itself reads.
  t.is(text(stdout), '0 1 2 3 ');
});

test('a child has every signal at its default and unblocked', async t => {
  const {stdout} = await runCommand({command: ['cat', '/proc/self/status'], signal});
  // glibc leaves its own two (32 and 33) ignored in what it spawns.
  t.regex(text(stdout), /^SigIgn:\t0{7}[01]80{7}$/m);
  t.regex(text(stdout), /^SigBlk:\t0{16}$/m);
});

test('a program that cannot be started is refused with the reason', async t => {
  await t.throwsAsync(runCommand({command: ['/no/such/program'], signal}), {code: 'ENOENT'});
  await t.throwsAsync(runCommand({command: ['/etc/passwd'], signal}), {code: 'EACCES'});
  await t.throwsAsync(runCommand({command: ['true'], cwd: '/no/such', signal}), {code: 'ENOENT'});
});

test('a NUL byte in an argument is refused', async t => {
  await t.throwsAsync(runCommand({command: ['echo', 'a\0b'], signal}), {instanceOf: TypeError});
});

test('descriptors may change places in the child', async t => {
  const {read, write} = openPipe();
  const output = openPipe();
  const {exited} = spawnProcess({
    command: ['readlink', `/proc/self/fd/${write}`, `/proc/self/fd/${read}`],
    fileDescriptors: {[write]: output.read, [read]: write, 1: output.write},
  });
  t.deepEqual(await exited, {exitCode: 0});
  const inodes = [output.read, write].map(fd => `pipe:[${fstatSync(fd).ino}]\n`);
  t.is(readAndClose(output), inodes.join(''));
  close(read);
  close(write);
});

test('a child killed by a signal says which', async t => {
  const child = spawnProcess({command: ['sleep', '1000']});
  t.true(child.kill('SIGTERM'));
  t.deepEqual(await child.exited, {exitCode: 143, signal: 'SIGTERM'});
  t.false(child.kill('SIGTERM'));
});

test('a new session has its own leader, group and no terminal', async t => {
  const pipe = openPipe();
  const child = spawnProcess({
    command: shell('cut -d " " -f 1,5,6,7 /proc/$$/stat'),
    newSession: true,
    fileDescriptors: {1: pipe.write},
  });
  await child.exited;
  t.is(readAndClose(pipe), `${child.pid} ${child.pid} ${child.pid} 0\n`);
});

test('many children that end at once are all reaped', async t => {
  const children = Array.from({length: 50}, (_, index) =>
    spawnProcess({command: shell(`exit ${index}`)}),
  );
  const exits = await Promise.all(children.map(({exited}) => exited));
  t.deepEqual(exits.map(({exitCode}) => exitCode), [...Array(50).keys()]); // prettier-ignore
  for (const {pid} of children) t.is(processStartTime(pid), undefined);
});

function readAndClose({read, write}: {readonly read: number; readonly write: number}): string {
  close(write);
  const bytes = Buffer.alloc(1_000);
  const length = readSync(read, bytes);
  close(read);
  return bytes.toString('utf8', 0, length);
}

function readPid(path: string): Promise<number | undefined> {
  try {
    return Promise.resolve(Number(readFileSync(path, 'utf8')));
  } catch {
    return Promise.resolve(undefined);
  }
}

/** Waits until nobody, or a zombie that init has not reaped yet, has this pid. */
async function gone(pid: number): Promise<void> {
  const isGone = (): Promise<true | undefined> => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      return Promise.resolve(stat.includes(') Z ') ? true : undefined);
    } catch {
      return Promise.resolve(true);
    }
  };
  await waitFor(isGone, {signal, timeoutMs: TIMEOUT_MS, intervalMs: 10});
}
