/**
 * A lab of one host, used as a user does. Needs root; builds the base image where the cache lacks it
 * (a minute or two), and refuses while another checkout's lab is up on the machine.
 */
import test from 'ava';
import {existsSync, readFileSync} from 'node:fs';
import {mkdtemp, readdir, readFile, rm, stat} from 'node:fs/promises';
import {networkInterfaces, tmpdir} from 'node:os';
import {join} from 'node:path';
import {CodedError} from '#shared/errors';
import {run} from '#shared/local-process';
import {hostProgram} from '#test/host-path';
import {waitFor} from '#shared/wait-for';
import {parseYaml} from '#shared/yaml';
import {killGroup} from '#lab/cgroups';
import {createLab} from '#lab/lab';
import {removeDeadLab} from '#test/run/left-lab';
import {labFolderPrefix} from '#test/run/this-run';

const BUILD_TIMEOUT_MS = 600_000;
const needsRoot = process.getuid?.() === 0 ? undefined : 'needs root';
const lab = await createTestLab();
const {signal} = new AbortController();
const onEvent = () => undefined;

test.before(async t => {
  t.timeout(BUILD_TIMEOUT_MS);
  if (needsRoot !== undefined) throw new Error(needsRoot);
  lab.before = await machineSnapshot();
  const status = await lab.up({hosts: 1, signal, onEvent});
  t.true(status.up);
});

test.after.always(async () => {
  await lab.down({signal, onEvent});
  await rm(lab.checkout, {recursive: true, force: true});
});

test.serial('root and lab log in by key, lab becomes root without a password', async t => {
  t.is(await onHost('h1', ['id', '-u']), '0');
  t.is(await onHost('h1', ['sudo', '-n', 'id', '-u'], 'lab'), '0');
});

test.serial('the host has booted whole: systemd is running, no unit has failed', async t => {
  t.is(await onHost('h1', ['systemctl', 'is-system-running']), 'running');
  t.is(await onHost('h1', ['cat', '/proc/swaps']).then(text => text.split('\n').length), 1);
});

test.serial('the host is bare, and has no package source', async t => {
  for (const name of ['conntrack', 'socat', 'ethtool', 'iptables', 'nft', 'curl', 'python3']) {
    t.is((await tryOnHost('h1', ['sh', '-c', `command -v ${name}`])).exitCode, 127, name);
  }
  t.is(await onHost('h1', ['find', '/etc/apt', '-name', '*.list', '-o', '-name', '*.sources']), '');
});

test.serial(
  'hosts.yaml has the key that the host shows, cluster.yaml stands beside it',
  async t => {
    const file = join(lab.checkout, '.lab', 'hosts.yaml');
    const text = await readFile(file, 'utf8');
    const shown = await onHost('h1', [
      'cut',
      '-d',
      ' ',
      '-f',
      '1,2',
      '/etc/ssh/ssh_host_ed25519_key.pub',
    ]);
    t.true(JSON.stringify(parseYaml(text, {file}).value).includes(shown));
    t.true(existsSync(lab.clusterFile));
  },
);

test.serial('the site has the packages that a node needs, signed', async t => {
  const source =
    'deb [signed-by=/etc/apt/keyrings/site.asc] http://10.89.0.2:8080/debian trixie main';
  const key = await readFile(join(lab.checkout, '.lab', 'site', 'repository.asc'), 'utf8');
  await onHost('h1', ['tee', '/etc/apt/keyrings/site.asc'], 'root', key);
  await onHost('h1', ['sh', '-c', `echo '${source}' > /etc/apt/sources.list.d/site.list`]);
  await onHost('h1', ['apt-get', 'update']);
  await onHost('h1', [
    'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', 'install', '--yes',
    'conntrack', 'socat', 'ethtool', 'iptables', 'nftables',
  ]); // prettier-ignore
  t.is(await onHost('h1', ['nft', 'list', 'ruleset']), '');
});

test.serial('the outside is refused at once', async t => {
  const connect = 'echo > /dev/tcp/192.0.2.1/80'; // TEST-NET-1, RFC 5737
  const {exitCode, stderr} = await tryOnHost('h1', ['timeout', '5', 'bash', '-c', connect]);
  t.is(exitCode, 1);
  t.regex(stderr, /unreachable/);
});

test.serial('built-in modules load, missing ones do not', async t => {
  t.is((await tryOnHost('h1', ['modprobe', 'br_netfilter'])).exitCode, 0);
  t.is((await tryOnHost('h1', ['modprobe', 'no_such_module'])).exitCode, 1);
});

test.serial("a host's kernel settings are its own, and survive a reboot", async t => {
  const settings = {
    'kernel.panic': '17',
    'kernel.panic_on_oops': '1',
    'vm.overcommit_memory': '1',
    'vm.panic_on_oom': '0',
    'kernel.keys.root_maxkeys': '999999',
    'kernel.keys.root_maxbytes': '24999999',
    'fs.inotify.max_user_instances': '7777',
    'net.ipv4.ip_forward': '1',
  };
  const machine = await machineSettings();
  t.is(await onHost('h1', ['sysctl', '-n', 'net.ipv4.ip_forward']), '0');
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`);
  await onHost('h1', ['tee', '/etc/sysctl.d/90-test.conf'], 'root', lines.join(''));
  await onHost('h1', ['sysctl', '--system']);
  const read = () => onHost('h1', ['sysctl', '-n', ...Object.keys(settings)]);
  t.is(await read(), Object.values(settings).join('\n'));
  const bootBefore = await bootId();
  await lab.fault('reboot', 'h1', signal);
  t.not(await bootId(), bootBefore);
  t.is(await read(), Object.values(settings).join('\n'));
  t.deepEqual(await machineSettings(), machine);
});

test.serial(
  'a reboot from inside comes back with a fresh network and an uptime from zero',
  async t => {
    const bootBefore = await bootId();
    await onHost('h1', ['ip', 'link', 'add', 'left0', 'type', 'bridge']);
    await tryOnHost('h1', ['systemctl', 'reboot']);
    await waitForHost(async () => !['', bootBefore].includes(await bootId()));
    t.is((await tryOnHost('h1', ['ip', 'link', 'show', 'left0'])).exitCode, 1);
    t.true(Number((await onHost('h1', ['cat', '/proc/uptime'])).split('.')[0]) < 60);
  },
);

test.serial('a crashed host is gone until it is started, with its disk as it was', async t => {
  await onHost('h1', ['sh', '-c', 'echo kept > /etc/kept; echo kept > /var/kept; sync']);
  const bootBefore = await bootId();
  await lab.fault('crash', 'h1', signal);
  t.is((await hostStatus()).state, 'stopped');
  await t.throwsAsync(lab.fault('pause', 'h1', signal), {code: 'ERR_LAB_HOST_STOPPED'});
  await lab.fault('crash', 'h1', signal); // a second power cut changes nothing
  await lab.fault('start', 'h1', signal);
  t.not(await bootId(), bootBefore);
  t.is(await onHost('h1', ['cat', '/etc/kept', '/var/kept']), 'kept\nkept');
});

test.serial('a paused host stands still and goes on where it was', async t => {
  const bootBefore = await bootId();
  await lab.fault('pause', 'h1', signal);
  t.is((await hostStatus()).state, 'paused');
  t.not((await tryOnHost('h1', ['true'], {timeoutMs: 1_500})).exitCode, 0);
  for (const name of ['reboot', 'start'] as const) {
    await t.throwsAsync(lab.fault(name, 'h1', signal), {code: 'ERR_LAB_HOST_PAUSED'});
  }
  await lab.fault('resume', 'h1', signal);
  t.is(await bootId(), bootBefore);
});

test.serial('a cut host is unreachable, also after a reboot, until it is healed', async t => {
  await lab.fault('cut', 'h1', signal);
  t.is((await hostStatus()).cable, 'cut');
  t.not((await tryOnHost('h1', ['true'], {timeoutMs: 1_500})).exitCode, 0);
  await lab.fault('crash', 'h1', signal);
  const starting = lab.fault('start', 'h1', signal);
  await waitForHost(async () => (await hostStatus()).state === 'running');
  t.is((await hostStatus()).cable, 'cut');
  await lab.fault('heal', 'h1', signal);
  await starting;
  t.is(await onHost('h1', ['true']), '');
});

test.serial('the registry stops and starts, and the site can be cut off', async t => {
  const registry = 'http://10.89.0.2:5000/v2/';
  const answers = async (timeoutMs = 1_500) =>
    fetch(registry, {signal: AbortSignal.timeout(timeoutMs)}).then(
      ({ok}) => ok,
      () => false,
    );
  const slowly = 15_000; // it is there; the machine may be busy
  t.true(await answers(slowly));
  await lab.stopRegistry(signal);
  t.false(await answers());
  await lab.startRegistry(signal);
  t.true(await answers(slowly));
  await lab.fault('crash', 'site', signal);
  await t.throwsAsync(lab.fault('pause', 'site', signal), {code: 'ERR_LAB_HOST_STOPPED'});
  await lab.fault('start', 'site', signal);
  await lab.fault('cut', 'site', signal);
  t.false(await answers());
  await lab.fault('heal', 'site', signal);
  await waitForHost(() => answers());
  t.pass();
});

test.serial('an unknown host is refused, and so is another checkout', async t => {
  await t.throwsAsync(lab.fault('crash', 'h7', signal), {code: 'ERR_LAB_HOST_UNKNOWN'});
  const folder = await mkdtemp(join(tmpdir(), 'slipway-other-'));
  t.teardown(() => rm(folder, {recursive: true}));
  const other = createLab(folder);
  const attempts = [
    () => other.up({hosts: 1, signal, onEvent}),
    () => other.down({signal, onEvent}),
    () => other.fault('crash', 'h1', signal),
  ];
  for (const attempt of attempts) {
    const error = await t.throwsAsync<CodedError>(attempt, {instanceOf: CodedError});
    t.is(error.code, 'ERR_LAB_OTHER_CHECKOUT');
    t.true(error.message.includes(lab.checkout));
  }
  t.false(await other.isUp());
});

test.serial('a running lab grows, and leaves cluster.yaml and the first host alone', async t => {
  t.timeout(BUILD_TIMEOUT_MS);
  const [boot, cluster] = [await bootId(), await readFile(lab.clusterFile, 'utf8')];
  const {hosts} = await lab.up({hosts: 2, signal, onEvent});
  t.deepEqual(
    hosts.map(({name, state}) => `${name} ${state}`),
    ['h1 running', 'h2 running'],
  );
  t.is(await bootId(), boot);
  t.is(await readFile(lab.clusterFile, 'utf8'), cluster);
  t.regex(await readFile(join(lab.checkout, '.lab', 'hosts.yaml'), 'utf8'), /10\.89\.0\.12/);
});

test.serial('down removes everything, whatever runs or is paused in the hosts', async t => {
  // What a runtime leaves: processes in namespaces and control groups of their own, mounts, rules.
  await onHost('h1', [
    'sh', '-c',
    `mkdir -p /var/pod && mount -t tmpfs pod /var/pod && ip netns add pod1 && nft add table ip pod &&
     systemd-run --quiet --property=Delegate=yes unshare --pid --mount --net --fork --mount-proc sleep infinity`,
  ]); // prettier-ignore
  await lab.fault('pause', 'h1', signal);
  t.true(await lab.down({signal, onEvent}));
  t.deepEqual(differences(lab.before, await machineSnapshot()), []);
  t.false(await lab.isUp());
  t.false(existsSync('/run/slipway-lab'));
  t.false(await lab.down({signal, onEvent}));
});

test.serial('tests begin without what a killed lab left on the machine', async t => {
  t.timeout(BUILD_TIMEOUT_MS);
  await lab.up({hosts: 1, signal, onEvent});
  await killGroup('', signal);
  t.is(await removeDeadLab(signal), lab.checkout);
  t.deepEqual(differences(lab.before, await machineSnapshot()), []);
  t.is(await removeDeadLab(signal), undefined);
});

async function createTestLab() {
  const checkout = await mkdtemp(labFolderPrefix());
  return {...createLab(checkout), checkout, before: new Set<string>() as Snapshot};
}

async function onHost(
  host: string,
  command: readonly string[],
  user = 'root',
  input?: string,
): Promise<string> {
  const {exitCode, stdout, stderr} = await tryOnHost(host, command, {user, input});
  if (exitCode === 0) return stdout.trim();
  throw new Error(`${command.join(' ')} on ${host}: ${exitCode}: ${stdout}${stderr}`);
}

async function tryOnHost(
  host: string,
  command: readonly string[],
  {
    user = 'root',
    timeoutMs = 60_000,
    input,
  }: {
    readonly user?: string;
    readonly timeoutMs?: number;
    readonly input?: string | undefined;
  } = {},
) {
  const argv = await lab.sshCommand(host, command, user);
  try {
    return await run(argv, {signal, timeoutMs, ...(input === undefined ? {} : {input})});
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'TimeoutError') throw error;
    return {exitCode: 255, stdout: '', stderr: 'timed out'};
  }
}

async function bootId(): Promise<string> {
  return (await tryOnHost('h1', ['cat', '/proc/sys/kernel/random/boot_id'])).stdout.trim();
}

async function hostStatus() {
  const {hosts} = await lab.status(signal);
  const host = hosts.find(({name}) => name === 'h1');
  if (host === undefined) throw new Error('h1 is not in the status');
  return host;
}

async function waitForHost(condition: () => Promise<boolean>): Promise<void> {
  await waitFor(async () => ((await condition()) ? true : undefined), {signal, timeoutMs: 60_000});
}

/** What a lab could leave on the machine, one line each. */
type Snapshot = ReadonlySet<string>;

async function machineSnapshot(): Promise<Snapshot> {
  const nft = hostProgram('nft');
  const ruleset = nft === undefined ? '' : (await run([nft, 'list', 'ruleset'], {signal})).stdout;
  const mounts = await readFile('/proc/self/mountinfo', 'utf8');
  const names = (folder: string) => readdir(folder).catch(() => [] as string[]);
  const hierarchies = await names('/sys/fs/cgroup');
  const ours = /slipway/;
  const found: Readonly<Record<string, readonly string[]>> = {
    namespace: (await names('/run/netns')).filter(name => ours.test(name)),
    interface: Object.keys(networkInterfaces()),
    mount: mounts.split('\n').filter(line => ours.test(line)),
    'control group': ['.', ...hierarchies].filter(name =>
      existsSync(join('/sys/fs/cgroup', name, 'slipway-lab')),
    ),
    process: (await names('/proc')).filter(
      name =>
        /:\/slipway-lab/.test(readIfThere(`/proc/${name}/cgroup`)) &&
        readIfThere(`/proc/${name}/cmdline`) !== '', // a zombie waits for the machine's init alone
    ),
    rule: ruleset.split('\n'),
    setting: await machineSettings(),
  };
  return new Set(
    Object.entries(found).flatMap(([kind, values]) => values.map(value => `${kind} ${value}`)),
  );
}

function differences(before: Snapshot, after: Snapshot): readonly string[] {
  return [
    ...[...before].filter(line => !after.has(line)).map(line => `gone: ${line}`),
    ...[...after].filter(line => !before.has(line)).map(line => `new: ${line}`),
  ];
}

/**
 * The machine's kernel settings: the files that can be written, as counters cannot. Left out are
 * the setting that the lab raises and those that the kernel itself changes.
 */
async function machineSettings(): Promise<readonly string[]> {
  const volatile =
    /user_instances|ns_last_pid|stat_refresh|tainted|hung_task_(detect|warnings)|perf_event_max_sample_rate/;
  const settings: string[] = [];
  for (const top of ['kernel', 'vm', 'fs']) {
    const files = await readdir(join('/proc/sys', top), {recursive: true, withFileTypes: true});
    for (const file of files.filter(entry => entry.isFile() && !volatile.test(entry.name))) {
      const path = join(file.parentPath, file.name);
      const isWritable = ((await stat(path)).mode & 0o222) !== 0;
      if (isWritable) settings.push(`${path}: ${readIfThere(path).trim()}`);
    }
  }
  return settings;
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // write-only, or a process that has ended
  }
}
