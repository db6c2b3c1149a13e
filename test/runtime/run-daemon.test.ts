import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {CodedError} from '#shared/errors';
import {waitFor} from '#shared/wait-for';
import type {RuntimeConfig} from '#runtime/config/runtime-config';
import {listenUnix} from '#runtime/cri/listen';
import {serveMetrics} from '#runtime/metrics/serve';
import {runDaemon, type DaemonOptions, type RunningDaemon} from '#runtime/run-daemon';
import {VERSION} from '#runtime/version';
import {folderOf} from '#test/cri-service';

/** A daemon that never ran a container, with its configuration in a folder of the test. */
async function prepare(t: ExecutionContext, text = '', {isRoot = true} = {}) {
  const folder = await folderOf(t);
  const file = join(folder, 'cri.toml');
  writeFileSync(file, text);
  const programs = join(folder, 'bin');
  mkdirSync(programs);
  for (const name of ['runc', 'conmon']) writeFileSync(join(programs, name), '', {mode: 0o755});
  const ending = new AbortController();
  const listen = `unix://${folder}/cri.sock`;
  const seen: {notified: string[]; lines: string[]; reloaded: RuntimeConfig[]; stops: number} = {
    notified: [],
    lines: [],
    reloaded: [],
    stops: 0,
  };
  const hangUp: (() => void)[] = [];
  const daemon: RunningDaemon = {
    sandboxes: () => ({ready: 1}),
    containers: () => ({}),
    reload: config => {
      seen.reloaded.push(config);
      return Promise.resolve();
    },
    stop: () => {
      seen.stops++;
      return Promise.resolve();
    },
  };
  const run = (start: (options: DaemonOptions) => Promise<RunningDaemon>) =>
    runDaemon({file, flags: {listen}}, start, {
      isRoot,
      path: programs,
      priorities: false,
      write: line => seen.lines.push(line),
      notify: state => seen.notified.push(state.replace(/USEC=\d+$/, 'USEC=…')),
      ending: ending.signal,
      onReload: reload => hangUp.push(reload),
    });
  const end = () => {
    ending.abort(new Error('SIGTERM'));
  };
  return {file, listen, seen, daemon, run, hangUp, end};
}

const until = async (t: ExecutionContext, condition: () => boolean) => {
  const signal = AbortSignal.timeout(20_000);
  await waitFor(() => Promise.resolve(condition() ? true : undefined), {
    signal,
    timeoutMs: 20_000,
    intervalMs: 5,
  });
  t.pass();
};

test('a daemon that serves says so to systemd, and stops when it is told to', async t => {
  const {listen, seen, daemon, run, end} = await prepare(t);
  const running = run(({config}) => {
    t.true(config.runtimes['runc']?.path.endsWith('/bin/runc'));
    return Promise.resolve(daemon);
  });
  await until(t, () => seen.notified.length === 1);
  end();
  await running;
  t.deepEqual(seen.notified, [`READY=1\nSTATUS=serving ${listen}`, 'STOPPING=1']);
  t.is(seen.stops, 1);
});

test('a daemon that cannot start fails with its reason, and is never ready', async t => {
  const {seen, run} = await prepare(t);
  const broken = new CodedError('ERR_STATE_CORRUPT', 'broken', {hint: 'repair'});
  await t.throwsAsync(
    run(() => Promise.reject(broken)),
    {code: 'ERR_STATE_CORRUPT'},
  );
  t.deepEqual(seen.notified, []);
});

test('without root nothing is begun', async t => {
  const {run, daemon} = await prepare(t, '', {isRoot: false});
  const start = () => Promise.resolve(daemon);
  await t.throwsAsync(run(start), {code: 'ERR_NOT_ROOT'});
});

test('a missing program is refused before anything is begun', async t => {
  const {run, daemon} = await prepare(t, 'conmon = "/none/conmon"');
  const start = () => Promise.resolve(daemon);
  await t.throwsAsync(run(start), {code: 'ERR_TOOL_MISSING'});
});

test('beside another daemon nothing is begun', async t => {
  const {listen, run, daemon} = await prepare(t);
  const other = await listenUnix(listen.replace('unix://', ''), connection => connection.destroy());
  t.teardown(() => other.close());
  const start = () => Promise.resolve(daemon);
  await t.throwsAsync(run(start), {code: 'ERR_SOCKET_IN_USE'});
});

test('SIGHUP takes over what can change, and keeps what it has of a broken file', async t => {
  const {file, seen, daemon, run, hangUp, end} = await prepare(t, 'pidsLimit = 1');
  const running = run(() => Promise.resolve(daemon));
  await until(t, () => hangUp.length === 1);

  writeFileSync(file, 'pidsLimit = 2\npinnedImages = ["a"]\nlogLevel = "warn"');
  hangUp[0]?.();
  await until(t, () => seen.notified.length === 3);
  t.deepEqual(seen.notified.slice(1), ['RELOADING=1\nMONOTONIC_USEC=…', 'READY=1']);
  t.like(seen.reloaded[0], {pidsLimit: 1, pinnedImages: ['a'], logLevel: 'warn'});
  t.true(seen.lines.some(line => /^warn .*waiting=.*pidsLimit/.test(line)));

  writeFileSync(file, 'nonsense');
  hangUp[0]?.();
  await until(t, () => seen.notified.length === 5);
  t.is(seen.reloaded.length, 1);
  t.true(seen.lines.some(line => /^error .*code=ERR_CONFIG_INVALID/.test(line)));
  t.false(
    seen.lines.some(line => line.startsWith('info configuration')),
    'the level is warn now',
  );
  end();
  await running;
});

test('calls and pods can be scraped while it runs, and not after', async t => {
  const {file, seen, daemon, run, end} = await prepare(t);
  const free = await serveMetrics('127.0.0.1:0', () => '');
  const {address} = free;
  await free.close();
  writeFileSync(file, `[metrics]\naddress = "${address}"`);
  const running = run(({record}) => {
    record({method: 'Version', status: 'OK', seconds: 0.1});
    return Promise.resolve(daemon);
  });
  await until(t, () => seen.notified.length === 1);
  const text = await (await fetch(`http://${address}/metrics`)).text();
  t.true(text.includes('slipway_cri_sandboxes{state="ready"} 1'));
  t.true(text.includes('operation_duration_seconds_count{operation="Version"} 1'));
  end();
  await running;
  await t.throwsAsync(fetch(`http://${address}/metrics`));
});

test('the version is that of the package', t => {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  t.is(VERSION, (JSON.parse(text) as {version: string}).version);
});
