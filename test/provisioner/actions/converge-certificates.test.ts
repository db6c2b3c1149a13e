import test from 'ava';
import {throwOutcome} from '#provisioner/actions/outcome';
import {CodedError} from '#shared/errors';
import {aCluster} from '#test/a-cluster';

import {made, orderOf, prepare, ran, run, single} from './fixture.ts';

const certificates = {
  enabled: true,
  issuers: [
    {
      name: 'own',
      namespace: undefined,
      source: {kind: 'self-signed' as const, crlDistributionPoints: []},
    },
  ],
};

test('certificates are a branch beside the joins; the image goes to control planes only', async t => {
  const {tasks} = await prepare({cluster: aCluster({certificates})});
  const order = await orderOf(tasks);
  const at = (key: string) => order.indexOf(key);
  t.deepEqual(order.filter(key => key.startsWith('certificate-image')), ['certificate-image@h1']); // prettier-ignore
  t.true(at('addon-images@h1') < at('certificate-image@h1'));
  t.true(at('certificate-image@h1') < at('certificate-controller'));
  t.true(at('init@h1') < at('certificate-apis'));
  t.true(at('certificate-apis') < at('certificate-controller'));
  t.true(at('network-addon') < at('certificate-controller'));
  t.true(at('certificate-controller') < at('issuers') && at('issuers') < at('certificate-test'));
  t.is(order.at(-1), 'verify');
  const joins = tasks.filter(({phase}) => phase === 'join').flatMap(({after}) => after);
  t.false(
    joins.some(key => key.startsWith('certificate')),
    'no join waits for them',
  );
});

test('certificates that cannot be made fail the run, and the proof is shown all the same', async t => {
  const converged = await prepare({cluster: aCluster({certificates})});
  const tasks = converged.tasks.map(task => {
    if (!task.phase.startsWith('certificate-')) return task;
    if (task.phase !== 'certificate-apis') return {...task, run: () => Promise.resolve(0)};
    const refused = new CodedError('ERR_CERTIFICATES_NOT_RUNNING', 'no', {hint: '-'});
    return {...task, run: () => Promise.reject(refused)};
  });
  const {outcome, results} = await run({...converged, tasks});
  t.is(results.get('issuers')?.kind, 'skipped');
  t.is(results.get('verify')?.kind, 'done');
  t.deepEqual(outcome.hosts.map(({state}) => state), ['done', 'done', 'done']); // prettier-ignore
  t.throws(
    () => {
      throwOutcome(outcome, {signal: new AbortController().signal});
    },
    {code: 'ERR_CERTIFICATES_NOT_RUNNING'},
  );
});

test('with --limit to a worker, a new controller still finds its image on the control plane', async t => {
  const converged = await prepare({cluster: aCluster({certificates}), states: {...made}}, ['h3']);
  const order = await orderOf(converged.tasks);
  t.true(order.includes('certificate-image@h1'));
  t.true(converged.plan.lines.some(({host, changes}) => host === 'h1' && changes.length === 1));
  const {changes} = converged.plan;
  t.is(changes, converged.plan.lines.flatMap(each => each.changes).length);
});

test('without a registry, the image of the controller is sent to the control plane', async t => {
  const converged = await prepare({
    cluster: {...single, certificates, registryUrl: undefined},
  });
  const context = {signal: new AbortController().signal, progress: () => undefined};
  const task = converged.tasks.find(({phase}) => phase === 'certificate-image');
  t.is(await task?.run(context), 1);
  t.true(ran(converged.site, 'h1', 'ctr -n k8s.io images import -'));
});
