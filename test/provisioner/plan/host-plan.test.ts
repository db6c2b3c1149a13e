import test from 'ava';
import {emptyHostState, type HostState} from '#provisioner/host-state/host-state';
import {
  applySteps,
  changedIds,
  parseInstalled,
  parseLastResource,
} from '#provisioner/plan/apply-script';
import {
  countChanges,
  type PhaseResources,
  planHost,
  REMOVAL_PHASE,
} from '#provisioner/plan/host-plan';
import {parseProbe} from '#provisioner/resources/probe';
import type {Resource} from '#provisioner/role/resource';
import {anArtifact} from '#test/a-host-run';

const file = (path: string, content = 'x\n'): Resource => ({
  kind: 'file',
  path,
  content,
  mode: 0o644,
});
const unit = (name: string, ...restartOn: string[]): Resource => ({
  kind: 'unit',
  name,
  enabled: true,
  running: 'yes',
  restartOn,
});
const packageOf = (name: string): Resource => ({kind: 'package', name});

/** A plan for a bare host. */
function plan(desired: readonly PhaseResources[], changes: Partial<HostState> = {}, probe = '') {
  const state = {...emptyHostState('lab'), ...changes};
  return planHost('h1', desired, {probe: parseProbe(probe), state});
}

const ids = (planned: ReturnType<typeof plan>) =>
  Object.fromEntries(planned.phases.map(({phase, changes}) => [phase, changedIds(changes)]));

test('every phase has its own changes, in the order of its roles; removals come last', t => {
  const desired = [
    {phase: 'os', resources: [packageOf('b'), file('/z'), file('/a')]},
    {phase: 'runtime', resources: [unit('x.service', 'file:/a')]},
  ];
  const planned = plan(desired);
  t.deepEqual(ids(planned), {
    os: ['package:b', 'file:/z', 'file:/a'],
    runtime: ['unit:x.service'],
    [REMOVAL_PHASE]: [],
  });
  t.is(countChanges(planned), 4);
  t.deepEqual([...planned.units.keys()], ['x.service']);
});

test('what is as it should be is not in the plan', t => {
  const present = 'package\tb\tinstalled\n';
  t.is(countChanges(plan([{phase: 'os', resources: [packageOf('b')]}], {}, present)), 0);
});

test('a unit restarts on what changes in another phase, wherever that stands', t => {
  const running =
    'unit\tId=x.service\nunit\tLoadState=loaded\nunit\tActiveState=active\nunit\tUnitFileState=enabled\n';
  const desired = [
    {phase: 'runtime', resources: [unit('x.service', 'file:/a')]},
    {phase: 'later', resources: [file('/a')]},
  ];
  const [change] = plan(desired, {}, running).phases[0]?.changes ?? [];
  t.like(change?.change, {action: 'restart', summary: 'restart (file:/a changes)'});
});

test('what left the roles is removed: units first, then the deepest paths', t => {
  const resources = Object.fromEntries(
    ['directory:/etc/x', 'file:/etc/x/a', 'file:/etc/x/b', 'unit:a.service', 'unit:z.service'].map(
      id => [id, {digest: ''}],
    ),
  );
  const planned = plan([{phase: 'os', resources: [file('/etc/x/b')]}], {resources});
  t.deepEqual(ids(planned)[REMOVAL_PHASE], [
    'unit:z.service',
    'unit:a.service',
    'file:/etc/x/a',
    'directory:/etc/x',
  ]);
});

test('what a run was about to make and no role asks for is removed, once', t => {
  const pending = ['file:/a', 'file:/b'];
  const planned = plan([], {pending, resources: {'file:/a': {digest: ''}}});
  t.deepEqual(ids(planned)[REMOVAL_PHASE], ['file:/b', 'file:/a']);
});

test('what is as it should be and was never confirmed is recorded', t => {
  const planned = plan(
    [{phase: 'os', resources: [packageOf('b')]}],
    {pending: ['package:b']},
    'package\tb\tinstalled\n',
  );
  t.like(planned.phases[0]?.changes[0]?.change, {id: 'package:b', action: 'record'});
});

test('neighbours share a round trip, a program has its own', t => {
  const resources = [
    file('/a'),
    packageOf('one'),
    file('/b'),
    packageOf('two'),
    anArtifact('/bin/x'),
    file('/c'),
  ];
  const planned = plan([{phase: 'os', resources}]);
  const steps = applySteps(planned.phases[0]?.changes ?? [], planned.input);
  t.deepEqual(
    steps.map(({script, artifact}) => [
      [...script.matchAll(/^at (.*)$/gm)].map(([, id]) => id),
      artifact?.path,
    ]),
    [
      [['file:/a', 'package:one', 'file:/b'], undefined],
      [['artifact:/bin/x'], '/bin/x'],
      [['file:/c'], undefined],
    ],
  );
  t.is([...(steps[0]?.script ?? '').matchAll(/install .* one two\b/g)].length, 2);
  t.true(steps.every(({script}) => script.startsWith('set -eu')));
});

test('nothing to change needs no round trip, and neither does a record', t => {
  const planned = plan([{phase: 'os', resources: []}]);
  t.deepEqual(applySteps([], planned.input), []);
  const change = {id: 'file:/a', action: 'record', summary: ''} as const;
  t.deepEqual(applySteps([{change, resource: file('/a')}], planned.input), []);
});

test('parseInstalled() and parseLastResource() read what a script printed', t => {
  const stdout =
    'at\tfile:/a b\ninstalled\tnftables\ninstalled\tlibnftables1\nat\tpackage:x\nend\n';
  t.deepEqual(parseInstalled(stdout), ['nftables', 'libnftables1']);
  t.is(parseLastResource(stdout), 'package:x');
  t.is(parseLastResource('nothing'), undefined);
});

test('an id that is no resource cannot be removed: it is a defect of ours', t => {
  const planned = plan([], {resources: {'surprise:/x': {digest: ''}}});
  const changes = planned.phases.at(-1)?.changes ?? [];
  t.throws(() => applySteps(changes, planned.input), {instanceOf: TypeError});
});
