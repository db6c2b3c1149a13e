import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {run} from '#shared/local-process';
import {waitFor} from '#shared/wait-for';
import {LAB_USAGE} from '#lab/command';
import {HELP} from '#provisioner/cli/help';
import {createKeyPair} from '#test/key-pair';
import {silentPort} from '#test/silent-port';
import {temporaryFolder} from '#test/temporary-folder';

const PROGRAM = [process.execPath, join(import.meta.dirname, '../src/cli.ts')];
const {signal} = new AbortController();
const provision = (line: string) => run([...PROGRAM, ...line.split(' ')], {signal});

const helps = test.macro(async (t, line: string, expected: string) => {
  const {exitCode, stdout, stderr} = await provision(line);
  t.is(stdout, expected);
  t.is(stderr, '');
  t.is(exitCode, 0);
});
for (const line of ['plan --help', 'artifacts --help', 'cluster.yaml --yes -h']) {
  test(`"provision ${line}" prints the help and does nothing`, helps, line, HELP);
}
const wholeLab = 'lab --hosts 2 --help';
test(`"provision ${wholeLab}" prints the lab's help and does nothing`, helps, wholeLab, LAB_USAGE);

test('what follows -- asks for no help', async t => {
  const {exitCode, stderr} = await provision('artifacts -- --help');
  t.is(exitCode, 2);
  t.regex(stderr, /^ERR_USAGE/);
});

test('images push of a file that is not there is refused before anything is made', async t => {
  await using folder = await temporaryFolder();
  for (const file of [join(folder.path, 'no.yaml'), folder.path]) {
    const push = `images push ${file} --registry http://127.0.0.1:1`;
    const {exitCode, stdout, stderr} = await provision(push);
    t.is(exitCode, 10);
    t.is(stdout, '');
    t.true(stderr.startsWith(`ERR_CONFIG_FILE_MISSING: there is no file ${file}\n  next: `));
  }
});

test('a terminal that hangs up interrupts as Ctrl-C does, however often it says so', async t => {
  await using folder = await temporaryFolder();
  using host = await silentPort();
  const file = join(folder.path, 'cluster.yaml');
  await writeFile(join(folder.path, 'key'), createKeyPair('ed25519').private, {mode: 0o600});
  await writeFile(
    file,
    `apiVersion: provision.dev/v1
kind: Cluster
metadata: {name: c}
spec:
  kubernetes: {version: 1.36.3}
  hosts: [{name: h1, address: 127.0.0.1, internalAddress: 10.0.0.1, port: ${host.port}, user: root, privateKeyFile: key, roles: [control-plane, worker]}]
`,
  );
  const [command = '', ...args] = PROGRAM;
  const child = spawn(command, [...args, 'status', file], {stdio: ['ignore', 'ignore', 'pipe']});
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const ended = once(child, 'exit');
  await waitFor(async () => ((await catchesHangUp(child.pid)) ? true : undefined), {
    signal,
    timeoutMs: 20_000,
  });
  child.kill('SIGHUP');
  child.kill('SIGHUP');
  t.deepEqual(await ended, [130, null], said);
  t.regex(said, /interrupted: finishing what has begun/);
});

/** From the mask of signals that a process has handlers for (proc(5), SigCgt). */
async function catchesHangUp(processId = 0): Promise<boolean> {
  const text = await readFile(`/proc/${processId}/status`, 'utf8');
  const mask = /^SigCgt:\s*([0-9a-f]+)$/m.exec(text)?.[1] ?? '0';
  return (BigInt(`0x${mask}`) & 1n) === 1n;
}
