import test, {type ExecutionContext} from 'ava';
import {CodedError} from '#shared/errors';
import {formatStatus, type LabCommand, parseLabCommand, runLab} from '#lab/command';
import type {Lab} from '#lab/lab';
import type {LabStatus} from '#lab/lab-status';

const parses = test.macro((t: ExecutionContext, line: string, expected: LabCommand) => {
  t.deepEqual(parseLabCommand(line === '' ? [] : line.split(' ')), expected);
});

const refuses = test.macro((t: ExecutionContext, line: string, hint: RegExp) => {
  const error = t.throws(() => parseLabCommand(line.split(' ')), {instanceOf: CodedError});
  t.is(error.code, 'ERR_USAGE');
  t.regex(error.hint, hint);
});

test('no command asks for help', parses, '', {kind: 'help'});
test('--help after a command is help', parses, 'up --help', {kind: 'help'});
test('--help after options is help', parses, 'up --hosts 2 -h', {kind: 'help'});
test('--help behind the host of ssh is the other program\'s', parses, 'ssh h1 ls --help', {
  kind: 'ssh', user: 'root', host: 'h1', command: ['ls', '--help'],
}); // prettier-ignore
test('up leaves the number of hosts to the lab', parses, 'up', {kind: 'up', hosts: undefined});
test('up takes a number of hosts', parses, 'up --hosts 4', {kind: 'up', hosts: 4});
test('up takes --hosts=N', parses, 'up --hosts=2', {kind: 'up', hosts: 2});
test('status prints text unless told otherwise', parses, 'status', {
  kind: 'status',
  output: 'text',
});
test('status prints JSON', parses, 'status --output json', {kind: 'status', output: 'json'});
test('ssh is root on the host', parses, 'ssh h1', {
  kind: 'ssh', user: 'root', host: 'h1', command: [],
}); // prettier-ignore
test('ssh takes another user, and hands on a command with its options', parses, 'ssh lab@h2 ls -l', {
  kind: 'ssh', user: 'lab', host: 'h2', command: ['ls', '-l'],
}); // prettier-ignore
test('ssh drops one -- before the command', parses, 'ssh h1 -- ls --all', {
  kind: 'ssh', user: 'root', host: 'h1', command: ['ls', '--all'],
}); // prettier-ignore
test('a fault names its target', parses, 'crash h3', {kind: 'fault', name: 'crash', target: 'h3'});
test('the site is a target', parses, 'cut site', {kind: 'fault', name: 'cut', target: 'site'});

test('a mistyped command is refused with the one that was meant', refuses, 'upp', /"up"/);
test('an unknown command is refused with the list', refuses, 'explode', /crash/);
test('a mistyped option is refused with the one that was meant', refuses, 'up --host 3', /--hosts/);
test('an option of another command is refused', refuses, 'down --hosts 3', /--help/);
test('zero hosts are refused', refuses, 'up --hosts 0', /number/);
test('too many hosts are refused', refuses, 'up --hosts 65', /number/);
test('a number of hosts that is no number is refused', refuses, 'up --hosts 3x', /number/);
test('an unknown output is refused', refuses, 'status --output yaml', /text, json/);
test('ssh without a host is refused', refuses, 'ssh', /h1/);
test('a fault without a host is refused', refuses, 'reboot', /h2/);
test('a fault with two hosts is refused', refuses, 'reboot h1 h2', /h2/);

const status: LabStatus = {
  up: true,
  owner: '/checkout',
  clusterFile: '/checkout/.lab/cluster.yaml',
  hosts: [
    {
      name: 'h1',
      address: '10.89.0.11',
      state: 'running',
      cable: 'cut',
      memoryBytes: 24 * 1024 ** 2,
    },
    {name: 'h2', address: '10.89.0.12', state: 'stopped', cable: 'cut', memoryBytes: null},
  ],
  site: {
    address: '10.89.0.2',
    registryUrl: 'http://10.89.0.2:5000',
    registry: 'running',
    packages: 'stopped',
    cable: 'plugged',
  },
};

test('status shows a cut cable of a running host, and none of a stopped one', t => {
  const lines = formatStatus(status).split('\n');
  t.regex(lines[0] ?? '', /^h1 .*running.*cable cut.*24 MB$/);
  t.regex(lines[1] ?? '', /^h2 .*stopped *-$/);
  t.regex(lines[2] ?? '', /^site .*registry running, packages stopped$/);
});

test('status names the checkout that has the lab, where it is another', t => {
  t.regex(formatStatus({...status, up: false, owner: '/other'}), /\/other/);
  t.is(formatStatus({...status, up: false, owner: null}), 'no lab is up\n');
});

const fakeLab = (calls: string[]): Lab => ({
  clusterFile: status.clusterFile,
  isUp: () => Promise.resolve(true),
  up: ({hosts, onEvent}) => {
    onEvent({kind: 'started', step: 'hosts'});
    onEvent({kind: 'done', step: 'hosts', seconds: 1.25});
    calls.push(`up ${String(hosts)}`);
    return Promise.resolve(status);
  },
  down: () => Promise.resolve(false),
  status: () => Promise.resolve(status),
  fault: (name, target) => {
    calls.push(`${name} ${target}`);
    return Promise.resolve();
  },
  stopRegistry: () => Promise.resolve(),
  startRegistry: () => Promise.resolve(),
  sshCommand: (host, command) =>
    Promise.resolve(['sh', '-c', `exit ${command[0] ?? '0'}; ${host}`]),
});

async function runOn(argv: readonly string[]) {
  const calls: string[] = [];
  let [stdout, stderr] = ['', ''];
  const context = {
    signal: AbortSignal.timeout(30_000),
    write: (text: string) => (stdout += text),
    writeError: (text: string) => (stderr += text),
    stdoutIsTerminal: false,
  };
  const exitCode = await runLab(argv, context, fakeLab(calls));
  return {calls, stdout, stderr, exitCode};
}

test('up prints every step with its seconds, and the cluster file', async t => {
  const {calls, stdout, stderr} = await runOn(['up', '--hosts', '2']);
  t.deepEqual(calls, ['up 2']);
  t.regex(stdout, /^ +1\.\d s {2}hosts$/m);
  t.regex(stdout, /^cluster file: \/checkout\/\.lab\/cluster\.yaml$/m);
  t.is(stderr, '');
});

test('status as JSON is one line that parses back', async t => {
  const {stdout} = await runOn(['status', '--output', 'json']);
  t.deepEqual(JSON.parse(stdout), status);
});

test('down of no lab says so and succeeds', async t => {
  const {stdout, exitCode} = await runOn(['down']);
  t.is(stdout, 'no lab was up\n');
  t.is(exitCode, 0);
});

test("ssh ends with the remote command's exit code", async t => {
  t.is((await runOn(['ssh', 'h1', '7'])).exitCode, 7);
});

test('a fault reaches the lab', async t => {
  t.deepEqual((await runOn(['pause', 'h2'])).calls, ['pause h2']);
});
