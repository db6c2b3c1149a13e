/** slipway-exec beside `runc exec`: the same life for a command, the same refusals, no way out. */
import {spawnSync} from 'node:child_process';
import {existsSync, readdirSync, readFileSync} from 'node:fs';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {openDirectExec} from '#runtime/exec/direct-exec';
import type {DirectExec} from '#runtime/exec/exec-target';
import {execSync} from '#runtime/exec/exec-sync';
import {defaultSeccomp} from '#runtime/spec/seccomp';
import {createLog} from '#shared/log';
import {shell, type TestContainer, type Workbench} from '#test/container';
import {eventually} from '#test/eventually';
import {openDirect, underRuntimes} from '#test/under-runtimes';

const {signal} = new AbortController();
const runtimes = underRuntimes(test);
const IDLE = shell('while :; do sleep 1; done');
const SECCOMP = defaultSeccomp(['CAP_CHOWN'], {architecture: process.arch, x32: true});

/** Everything that a process can tell about itself, without pids and times. */
const LIFE = `
id; pwd; umask; echo $0 $#
tr '\\0' '\\n' < /proc/self/environ | sort
grep -E '^(Cap|NoNewPrivs|Seccomp|Groups|Uid|Gid|Cpus_allowed|Mems_allowed|SigBlk|SigCgt)' /proc/self/status
cat /proc/self/limits
sort /proc/self/cgroup
cat /proc/self/oom_score_adj
for kind in cgroup ipc mnt net pid user uts; do readlink /proc/self/ns/$kind; done
for fd in 0 1 2; do stat -Lc '%F %u %a' /proc/self/fd/$fd; done
ls /proc/$$/fd
cut -d ' ' -f 6 /proc/$$/stat | grep -qx $$ && echo leads its session
cat /proc/self/attr/current 2>/dev/null | tr -d '\\0'
cut -d ' ' -f 19,41 /proc/self/stat
`;

const USER = {uid: 1000, gid: 1001, additionalGids: [1002, 1003]};
const SOME = ['CAP_CHOWN', 'CAP_NET_BIND_SERVICE'];
const SETS = {bounding: SOME, effective: SOME, permitted: SOME};

const lives: Readonly<Record<string, Parameters<Workbench['start']>[0]>> = {
  'of root': IDLE,
  'of a user with groups': {...IDLE, process: {user: USER, cwd: '/'}},
  'with ambient capabilities': {
    ...IDLE,
    process: {user: USER, capabilities: {...SETS, inheritable: SOME, ambient: SOME}},
  },
  'without capabilities': {...IDLE, process: {capabilities: {}}},
  'with limits': {
    ...IDLE,
    process: {
      rlimits: [
        {type: 'RLIMIT_NOFILE', soft: 100, hard: 200},
        {type: 'RLIMIT_CORE', soft: 0, hard: 0},
      ],
      oomScoreAdj: 500,
    },
    memoryLimitBytes: 64_000_000,
  },
  'under a filter': {...IDLE, seccomp: SECCOMP},
  'under a filter, without new privileges': {
    ...IDLE,
    seccomp: SECCOMP,
    process: {noNewPrivileges: true, user: USER, capabilities: SETS},
  },
  'with a home and a variable twice': {
    ...IDLE,
    process: {env: ['PATH=/usr/bin:/bin', 'HOME=/srv', 'A=1', 'A=2', 'EMPTY=']},
  },
};

for (const [title, request] of Object.entries(lives)) {
  runtimes.once(`a command’s life ${title} is the one that runc gives it`, async (t, bench) => {
    await using direct = await usingDirect(bench);
    const container = await bench.start(request);
    // Root sees the keyrings of all containers: those of other tests come and go.
    const life = `${LIFE}grep -c '_ses[.]${container.id}' /proc/keys 2>/dev/null\n`;
    const byRunc = await run(bench, container, life);
    const bySlipway = await run(bench, container, life, direct);
    t.is(byRunc.exitCode, 0, byRunc.stderr);
    t.deepEqual(bySlipway.stdout.split('\n'), byRunc.stdout.split('\n'));
    t.is(bySlipway.stderr, byRunc.stderr);
  });
}

runtimes.once('the filter is one that runc has made, and forbids the same', async (t, bench) => {
  await using direct = await usingDirect(bench);
  const container = await bench.start({...IDLE, seccomp: SECCOMP});
  const filters: Buffer[] = [];
  for (const by of [undefined, direct]) {
    await learnt(direct, bench, container);
    const seconds = by === undefined ? '901' : '902';
    const running = run(bench, container, `exec sleep ${seconds}`, by, 5);
    await eventually(() => pidOf(`sleep\0${seconds}\0`) !== undefined);
    const pid = pidOf(`sleep\0${seconds}\0`) ?? '';
    const file = join(bench.path, `filter-${seconds}`);
    const startTime = /\) (?:\S+ ){19}(\S+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1];
    const {slipwayExec} = runtimes.programs();
    const saved = spawnSync(slipwayExec, ['filter', pid, startTime ?? '', '0', file]);
    t.is(saved.status, 0, saved.stderr.toString());
    filters.push(readFileSync(file));
    process.kill(Number(pid), 'SIGKILL');
    t.is((await running).exitCode, 137);
  }
  const [byRunc, bySlipway] = filters;
  t.true((byRunc?.length ?? 0) > 1_000);
  t.is(bySlipway?.length, byRunc?.length, 'runc itself has the architectures in any order');
  const folder = join(bench.path, 'seccomp');
  t.deepEqual(
    readdirSync(folder).map(name => readFileSync(join(folder, name))),
    [bySlipway],
  );
  const forbidden = await run(bench, container, 'unshare --mount true', direct);
  t.regex(forbidden.stderr, /Operation not permitted/);
});

runtimes.once(
  'a profile is learnt while runc still serves, from a process of ours',
  async (t, bench) => {
    await using direct = await usingDirect(bench);
    const container = await bench.start({...IDLE, seccomp: SECCOMP});
    const config = readFileSync(join(container.bundle, 'config.json'), 'utf8');
    const prepare = () =>
      direct.prepare(config, {runtime: bench.runtime, container, command: ['true']});
    t.is(prepare(), undefined, 'not known yet');
    t.is((await run(bench, container, 'echo meanwhile', direct)).stdout, 'meanwhile\n');
    await direct.settled();
    t.not(prepare(), undefined);
    t.deepEqual(
      readdirSync(container.bundle).filter(name => name.startsWith('exec-')),
      [],
    );
    t.is(pidOf('hold\0'), undefined);
    const other = await bench.start({...IDLE, seccomp: SECCOMP});
    t.not(
      direct.prepare(config, {runtime: bench.runtime, container: other, command: ['true']}),
      undefined,
    );
  },
);

runtimes.once(
  'where a profile cannot be learnt the next container is asked, and runc serves',
  async (t, bench) => {
    await using direct = await usingDirect(bench);
    const big = {index: 0, value: 2 ** 63, op: 'SCMP_CMP_NE'};
    const rule = {names: ['personality'], action: 'SCMP_ACT_ALLOW', args: [big]};
    const seccomp = {...SECCOMP, syscalls: [...SECCOMP.syscalls, rule]};
    const container = await bench.start({...IDLE, seccomp});
    const config = readFileSync(join(container.bundle, 'config.json'), 'utf8');
    const prepare = async (target: TestContainer) => {
      const options = {runtime: bench.runtime, container: target, command: ['true']};
      const found = direct.prepare(config, options);
      await direct.settled();
      return found;
    };
    const unknown = {...container, id: 'unknown-to-runc'};
    t.is(await prepare(unknown), undefined);
    t.is(await prepare(unknown), undefined);
    t.is(await prepare(container), undefined, 'it is learnt here');
    t.not(await prepare(container), undefined);
    const {stdout} = await run(bench, container, 'echo all the same', direct);
    t.is(stdout, 'all the same\n');
  },
);

runtimes.once(
  'a container under AppArmor is left to runc where a check finds that labels cannot be set',
  async (t, bench) => {
    const lines: string[] = [];
    const direct = await openDirectExec({
      path: runtimes.programs().slipwayExec,
      folder: join(bench.path, 'seccomp'),
      log: createLog({level: 'info', write: line => void lines.push(line)}),
      signal,
      apparmorProfile: 'slipway-no-such-profile',
    });
    try {
      t.regex(lines.join(''), /commands under AppArmor are run by the OCI runtime.*cannot be set/);
      const container = await bench.start(IDLE);
      const config = readFileSync(join(container.bundle, 'config.json'), 'utf8');
      const prepare = (text: string) =>
        direct?.prepare(text, {runtime: bench.runtime, container, command: ['true']});
      t.not(prepare(config), undefined);
      const labelled = config.replace('"cwd"', '"apparmorProfile":"slipway-default","cwd"');
      t.not(labelled, config);
      t.is(prepare(labelled), undefined);
    } finally {
      direct?.close();
    }
  },
);

runtimes.once(
  'what cannot be started is refused by its reason, and is no exit code',
  async (t, bench) => {
    await using direct = await usingDirect(bench);
    const container = await bench.start({...IDLE, process: {user: USER}});
    const refused = async (command: readonly string[], reason: RegExp) => {
      const error = await t.throwsAsync(
        execSync({runtime: bench.runtime, direct, container, command, timeoutSeconds: 0, signal}),
        {code: 'ERR_OCI_RUNTIME_FAILED'},
      );
      t.regex(error.message, reason);
    };
    await refused(['no-such'], /"no-such": executable file not found in \$PATH/);
    await refused(['/no/such'], /"\/no\/such".*No such file/);
    await refused(['/tmp'], /Is a directory/);
    await refused(['/etc'], /No such file/);
    await refused(['/proc/version'], /Permission denied/);
    await refused(['usr/bin/true\n'], /No such file/);
    await refused([''], /not found/);
  },
);

runtimes.once('no descriptor of the host’s is there to be used', async (t, bench) => {
  await using direct = await usingDirect(bench);
  const container = await bench.start(IDLE);
  for (let fd = 3; fd < 12; fd += 1) {
    const command = [`/proc/self/fd/${fd}`];
    await t.throwsAsync(
      execSync({runtime: bench.runtime, direct, container, command, timeoutSeconds: 0, signal}),
      {code: 'ERR_OCI_RUNTIME_FAILED'},
    );
  }
  const path = join(container.bundle, 'config.json');
  const config = readFileSync(path, 'utf8');
  for (const cwd of ['/proc/self/fd/3', '/proc/self/fd/7', '/proc/self/fd/3/..', '/no/such']) {
    await writeFile(path, config.replace('"cwd":"/tmp"', `"cwd":"${cwd}"`));
    await t.throwsAsync(run(bench, container, 'pwd', direct), {code: 'ERR_OCI_RUNTIME_FAILED'});
  }
});

runtimes.once('a container cannot write to the program that enters it', async (t, bench) => {
  await using direct = await usingDirect(bench);
  const all = ['CAP_DAC_OVERRIDE', 'CAP_KILL', 'CAP_FOWNER', 'CAP_CHOWN', 'CAP_SYS_ADMIN'];
  const capabilities = {bounding: all, effective: all, permitted: all};
  const attack = `while :; do for p in /proc/[0-9]*; do
    [ "$p" = /proc/$$ ] && continue
    case "$(readlink $p/exe)" in *memfd*) chmod 0 $p/exe && echo "memfd: changed" >> /tmp/written;; esac
    { printf 'x' >> $p/exe; } 2>/dev/null && echo "$p $(readlink $p/exe)" >> /tmp/written
  done; done`;
  const container = await bench.start({...shell(attack), process: {capabilities}});
  const {slipwayExec} = runtimes.programs();
  const before = readFileSync(slipwayExec);
  for (let round = 0; round < 100; round += 1) {
    t.is((await run(bench, container, 'exit 0', direct)).exitCode, 0);
  }
  const written = await run(bench, container, 'grep -v "^/proc/self" /tmp/written', direct);
  t.notRegex(written.stdout, /memfd|slipway/);
  t.true(readFileSync(slipwayExec).equals(before));
});

runtimes.once('a memory limit holds for a command, also on its way in', async (t, bench) => {
  await using direct = await usingDirect(bench);
  const container = await bench.start({...IDLE, memoryLimitBytes: 20_000_000});
  const result = await run(bench, container, 'head -c 100m /dev/zero | tail', direct);
  t.true(result.exitCode === 137 || /Killed/.test(result.stderr), JSON.stringify(result));
});

runtimes.once('a plan that is damaged is refused, whatever is wrong with it', async (t, bench) => {
  const {slipwayExec} = runtimes.programs();
  const plan = join(bench.path, 'plan');
  const log = join(bench.path, 'log');
  const good = `pid\0${process.pid}\0start-time\x001\0cwd\0/\0arg\0true\0`;
  const damaged: readonly [string, RegExp][] = [
    ['', /cut off/],
    [good.slice(0, -1), /cut off/],
    [good.replace('arg\0true\0', ''), /lacks/],
    [`${good}what\0ever\0`, /unknown name: what/],
    [`${good}uid\0-1\0`, /bad number: -1/],
    [`${good}uid\x004294967295\0`, /bad number/],
    [`${good}capabilities\x000 0 0\0`, /bad capabilities/],
    [`${good}rlimit\x0099 1 1\0`, /bad limit/],
    [good, /has ended/],
    [`${good}${'group\x001\0'.repeat(2_000)}`, /too many groups/],
    [`${good}seccomp\0/no/such\0`, /no\/such/],
  ];
  for (const [bytes, reason] of damaged) {
    await writeFile(plan, bytes);
    await writeFile(log, '');
    const {status, stdout} = spawnSync(slipwayExec, ['run', plan, log]);
    t.is(status, 255, bytes.slice(0, 80));
    t.is(stdout.length, 0);
    const {level, msg} = JSON.parse(readFileSync(log, 'utf8')) as {level: string; msg: string};
    t.is(level, 'error');
    t.regex(msg, reason);
  }
});

interface Used extends DirectExec, AsyncDisposable {}

async function usingDirect(bench: Workbench): Promise<Used> {
  const direct = await openDirect(bench, runtimes.programs());
  return {
    prepare: (config, options) => direct.prepare(config, options),
    settled: () => direct.settled(),
    close: () => {
      direct.close();
    },
    async [Symbol.asyncDispose]() {
      await direct.settled();
      direct.close();
    },
  };
}

/** Makes sure that slipway-exec takes the next command. */
async function learnt(direct: DirectExec, bench: Workbench, container: TestContainer) {
  const config = readFileSync(join(container.bundle, 'config.json'), 'utf8');
  const options = {runtime: bench.runtime, container, command: ['true']};
  direct.prepare(config, options);
  await direct.settled();
  if (direct.prepare(config, options) === undefined) throw new Error('it is left to the runtime');
}

async function run(
  bench: Workbench,
  container: TestContainer,
  script: string,
  direct?: DirectExec,
  timeoutSeconds = 0,
) {
  if (direct !== undefined) await learnt(direct, bench, container);
  const command = ['/bin/sh', '-c', script, 'name', 'argument'];
  const {runtime} = bench;
  const result = await execSync({runtime, direct, container, command, timeoutSeconds, signal});
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');
  return {stdout: text(result.stdout), stderr: text(result.stderr), exitCode: result.exitCode};
}

/** A process by the end of its command line. */
function pidOf(end: string): string | undefined {
  return readdirSync('/proc').find(name => {
    const path = `/proc/${name}/cmdline`;
    if (!/^[0-9]+$/.test(name) || !existsSync(path)) return false;
    try {
      return readFileSync(path, 'utf8').endsWith(end);
    } catch {
      return false; // it has just ended
    }
  });
}
