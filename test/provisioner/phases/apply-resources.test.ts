import test from 'ava';
import type {RunResult} from '#provisioner/transport/connection';
import type {PhaseResources} from '#provisioner/plan/host-plan';
import {anArtifact, only, runOn, stateOf} from '#test/a-host-run';
import {FakeConnection} from '#test/fake-connection';
import {FolderHost, type FolderHostOptions} from '#test/folder-host';

/** A bit of everything that a node has, in phases that depend on each other. */
function aNode(host: FolderHost): readonly PhaseResources[] {
  const config = host.path('etc/x/config');
  const file = (path: string, content: string) =>
    ({kind: 'file', path, content, mode: 0o644}) as const;
  return [
    {
      phase: 'os',
      resources: [
        {kind: 'package', name: 'conntrack'},
        {kind: 'package', name: 'nftables'},
        {kind: 'module', name: 'overlay'},
        file(host.path('etc/sysctl'), 'a.b = 1\n'),
        {kind: 'sysctl', key: 'a.b', value: '1'},
        {kind: 'swap', state: 'off'},
        {kind: 'line-block', path: host.path('etc/hosts'), name: 'cluster', lines: ['10.0.0.1 h1']},
      ],
    },
    {
      phase: 'programs',
      resources: [
        anArtifact(host.path('opt/runc'), 'runc'),
        anArtifact(host.path('opt/ctr'), 'ctr'),
      ],
    },
    {
      phase: 'service',
      resources: [
        {kind: 'directory', path: host.path('srv'), mode: 0o700},
        {kind: 'link', path: host.path('opt/current'), target: 'runc'},
        file(config, 'version = 3\n'),
        {
          kind: 'unit',
          name: 'x.service',
          enabled: true,
          running: 'yes',
          restartOn: [`file:${config}`, `artifact:${host.path('opt/runc')}`],
        },
      ],
    },
  ];
}

function bare(): FolderHost {
  const host = new FolderHost();
  host.write('etc/hosts', '127.0.0.1 localhost\n');
  host.write('etc/fstab', '/dev/vda2 none swap sw 0 0\n');
  host.write('proc/swaps', 'Filename Type\n/dev/vda2 partition\n');
  host.write('proc/sys/a/b', '0\n');
  return host;
}

/** All that stays on the host, with names that do not depend on its folder; memos are not compared. */
function endState(host: FolderHost): unknown {
  const text = JSON.stringify(host.snapshot()).replaceAll(host.root, '');
  const files = JSON.parse(text) as Record<string, string>;
  const state = JSON.parse(JSON.stringify(stateOf(host)).replaceAll(host.root, '')) as {
    resources: Record<string, {stat?: string; digest?: string}>;
    startedWith: Record<string, string>;
  };
  for (const each of Object.values(state.resources)) delete each.stat;
  delete state.resources['unit:x.service']?.digest; // hashed from paths, too
  return {
    files: Object.fromEntries(
      Object.entries(files).filter(([path]) => !path.startsWith('slipway/')),
    ),
    state: {...state, startedWith: Object.keys(state.startedWith)},
  };
}

const REQUESTS = 14; // probe; intent, steps, second look and confirmation of three phases
const AFTER = [2, 4, 7, 9, 11, 13]; // the last step and the confirmation of each phase
const RESOURCES = 12; // packages are one

interface Undisturbed {
  readonly made: unknown;
  readonly removed: unknown;
}
let undisturbed: Promise<Undisturbed> | undefined;
const reference = (): Promise<Undisturbed> =>
  (undisturbed ??= (async () => {
    using host = bare();
    const connection = host.connection();
    await runOn(host, aNode(host), {connection});
    const made = endState(host);
    await runOn(host, only());
    return {made, removed: endState(host)};
  })());

test('an undisturbed run asks as often as the kill points below assume', async t => {
  using host = bare();
  const connection = host.connection();
  await runOn(host, aNode(host), {connection});
  t.is(connection.runs.length, REQUESTS);
  const resources = connection.runs.flatMap(({script}) => [...script.matchAll(/^at '?[a-z]/gm)]);
  t.is(resources.length, RESOURCES);
});

function killed(title: string, options: FolderHostOptions): void {
  test(`${title}: the next run ends as if nothing had happened`, async t => {
    using host = bare();
    const connection = host.connection(options);
    await t.throwsAsync(runOn(host, aNode(host), {connection}), {code: 'ERR_CONNECTION_LOST'});
    await runOn(host, aNode(host));
    const {made, removed} = await reference();
    t.deepEqual(endState(host), made);
    t.deepEqual((await runOn(host, aNode(host))).changes, []);
    await runOn(host, only());
    t.deepEqual(endState(host), removed);
  });

  test(`${title}: a removal at once leaves nothing behind`, async t => {
    using host = bare();
    const connection = host.connection(options);
    await t.throwsAsync(runOn(host, aNode(host), {connection}), {code: 'ERR_CONNECTION_LOST'});
    await runOn(host, only());
    const {removed} = await reference();
    t.deepEqual(withoutEmpty(endState(host)), withoutEmpty(removed));
  });
}

/** Parent directories are nobody's resource; whether they were made is not compared. */
function withoutEmpty(state: unknown): unknown {
  const {files} = state as {readonly files: Readonly<Record<string, string>>};
  const kept = Object.entries(files).filter(([path, text]) => {
    return !text.endsWith('directory') && !path.startsWith('fake/updated');
  });
  return Object.fromEntries(kept);
}

// A connection lost before a request leaves what one lost after the request before it leaves, and
// one lost after an intent or a look what a death at the next resource leaves.
for (const run of AFTER) killed(`lost after request ${run}`, {loseAt: {run, when: 'after'}});
for (let dieAtResource = 0; dieAtResource < RESOURCES; dieAtResource++) {
  killed(`killed at resource ${dieAtResource}`, {dieAtResource});
}

test('the intent is on the host before the first change, the confirmation after the second look', async t => {
  using host = bare();
  const connection = host.connection();
  await runOn(host, [aNode(host)[0] as PhaseResources], {connection});
  const what = connection.runs.map(({script}) => {
    if (script.includes('put /var/lib/slipway/state.json')) return 'record';
    return script.startsWith('set -eu') ? 'apply' : 'probe';
  });
  t.deepEqual(what, ['probe', 'record', 'apply', 'probe', 'record']);
  t.deepEqual(stateOf(host).pending, []);
});

test('an interrupt ends the step at work, starts no other, and forgets nothing', async t => {
  using host = bare();
  const abort = new AbortController();
  const reason = new Error('enough');
  const pushed: string[] = [];
  const progress = (text: string): void => {
    pushed.push(text);
    abort.abort(reason);
  };
  const run = runOn(host, aNode(host), {signal: abort.signal, progress});
  t.is(await t.throwsAsync(run), reason);
  t.deepEqual(pushed, ['pushing runc 1.0']);
  t.true(host.has('opt/runc'));
  t.false(host.has('opt/ctr'));
  t.is(stateOf(host).pending.length, 2);
  await runOn(host, aNode(host));
  t.deepEqual(endState(host), (await reference()).made);
});

test('an interrupt in the last step of a phase still confirms it', async t => {
  using host = bare();
  const abort = new AbortController();
  const inner = host.connection();
  const connection = new FakeConnection({
    respond: async ({script, payload}) => {
      if (script.includes('\nat unit:')) abort.abort(new Error('enough'));
      return await host.run({script, payload});
    },
  });
  await runOn(host, aNode(host), {connection, signal: abort.signal});
  t.deepEqual(stateOf(host).pending, []);
  t.is(inner.runs.length, 0);
});

/** Answers an apply step with this; everything else runs for real. */
async function failing(host: FolderHost, result: Partial<RunResult>): Promise<unknown> {
  const connection = new FakeConnection({
    respond: async run => {
      const isApply = run.script.startsWith('set -eu') && !run.script.includes('state.json');
      return isApply ? result : await host.run(run);
    },
  });
  return await runOn(host, aNode(host).slice(1, 2), {connection});
}

const refuses = test.macro(async (t, result: Partial<RunResult>, code: string, message: RegExp) => {
  using host = bare();
  const error = await t.throwsAsync(failing(host, result), {code, message});
  t.regex(error.message, /^h1: /);
  t.is(stateOf(host).pending.length, 2, 'the intent stays');
  await runOn(host, aNode(host));
  t.deepEqual(endState(host), (await reference()).made);
});

test('a full disk has its own code; with space the same command finishes', refuses, {exitCode: 1, stderr: 'head: error writing: No space left on device'}, 'ERR_DISK_FULL', /No space left/); // prettier-ignore
test('bytes that arrived wrong have their own code', refuses, {exitCode: 65}, 'ERR_ARTIFACT_CHECKSUM_ON_HOST', /opt\/runc arrived with another sha256/); // prettier-ignore
test('another failure names the program and keeps the last words', refuses, {exitCode: 1, stderr: 'mv: Operation not permitted'}, 'ERR_RESOURCE_FAILED', /push runc to .*Operation not permitted/s); // prettier-ignore
test('a change that did not happen is found by the second look', refuses, {exitCode: 0}, 'ERR_RESOURCE_NOT_APPLIED', /artifact:.*opt\/runc/); // prettier-ignore

test('a payload that was cut short is not taken for the program, and leaves no part behind', async t => {
  using host = bare();
  const connection = new FakeConnection({
    respond: async ({script, payload}) =>
      await host.run({script, payload: payload?.subarray(0, 100)}),
  });
  const run = runOn(host, aNode(host).slice(1, 2), {connection});
  await t.throwsAsync(run, {code: 'ERR_ARTIFACT_CHECKSUM_ON_HOST'});
  const {stdout} = await host.run({script: `ls -A ${host.path('opt')}`});
  t.is(stdout, '');
});

test('a failed script names the resource that it was at', async t => {
  using host = bare();
  host.write('bin/modprobe', '#!/bin/sh\necho "modprobe: FATAL: Module not found" >&2\nexit 1\n');
  await t.throwsAsync(runOn(host, aNode(host)), {
    code: 'ERR_RESOURCE_FAILED',
    message: /cannot make module:overlay .*FATAL: Module not found/s,
  });
});
