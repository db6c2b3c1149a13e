import test from 'ava';
import {tolerationsOf} from '#provisioner/addons/tolerations';
import {
  APIS_ACTION,
  CONTROLLER_ACTION,
  planCertificates,
  type CertificatePlan,
} from '#provisioner/certificates/certificate-plan';
import {
  controllerObjects,
  parseControllerRelease,
} from '#provisioner/certificates/controller-release';
import {issuerManifests} from '#provisioner/certificates/issuer-objects';
import {formatOwned, parseOwned} from '#provisioner/certificates/owned-objects';
import {emptyHostState, type HostState} from '#provisioner/host-state/host-state';
import type {CertificateSettings, IssuerSettings} from '#provisioner/role/cluster';
import {Secret} from '#shared/secret';
import {aKeyPair} from '#test/a-ca';
import {aControllerRelease, CONTROLLER_IMAGE} from '#test/a-controller-release';

const selfSigned: IssuerSettings = {
  name: 'own',
  namespace: undefined,
  source: {kind: 'self-signed', crlDistributionPoints: []},
};
const generated: IssuerSettings = {
  name: 'ca',
  namespace: 'web',
  source: {kind: 'generated-ca', commonName: 'Web CA', duration: '87600h'},
};
const pair = aKeyPair();
const other = aKeyPair();
const withPair = ({certificate, privateKey} = pair): IssuerSettings => ({
  name: 'company',
  namespace: undefined,
  source: {kind: 'ca-key-pair', keyPair: {certificate, privateKey: new Secret(privateKey)}},
});

interface Given {
  readonly issuers?: readonly IssuerSettings[];
  readonly enabled?: boolean;
  readonly state?: HostState;
  readonly release?: ReturnType<typeof aControllerRelease>;
  readonly tolerations?: Parameters<typeof planCertificates>[0]['tolerations'];
}

function plan(given: Given = {}): CertificatePlan {
  const settings: CertificateSettings = {
    enabled: given.enabled ?? true,
    issuers: given.issuers ?? [],
  };
  const {state = emptyHostState('lab'), release = aControllerRelease()} = given;
  const {tolerations = []} = given;
  return planCertificates({settings, state, release, image: CONTROLLER_IMAGE, tolerations});
}

/** state.json after everything of a plan was done. */
function after(done: CertificatePlan, before = emptyHostState('lab')): HostState {
  const entry = (digest: string, keys = {}) => ({status: 'done' as const, digest, keys});
  const actions = {
    ...(done.apis && {[APIS_ACTION]: entry(done.apis.digest)}),
    ...(done.controller && {[CONTROLLER_ACTION]: entry(done.controller.digest)}),
    ...Object.fromEntries(
      done.issuers.map(({action, digest, owned}) => [action, entry(digest, formatOwned(owned))]),
    ),
  };
  return {...before, actions: {...before.actions, ...actions}};
}

const idsOf = ({lines}: CertificatePlan) => lines.map(({action, id}) => `${action} ${id}`);

test('a new cluster gets kinds, controller, issuers, and a test of them', t => {
  t.deepEqual(idsOf(plan({issuers: [selfSigned, generated]})), [
    'run certificates:apis',
    'run certificates:controller',
    'run issuer:ClusterIssuer/own',
    'run issuer:Issuer/web/ca',
    'run certificates:test',
  ]);
});

test('the same again is nothing at all', t => {
  const issuers = [selfSigned, generated, withPair()];
  const second = plan({issuers, state: after(plan({issuers}))});
  t.deepEqual(second.lines, []);
  t.false(second.test);
});

test('what was begun and not ended is done again', t => {
  const state = after(plan());
  const {digest = ''} = state.actions[CONTROLLER_ACTION] ?? {};
  const begun = {...state.actions, [CONTROLLER_ACTION]: {status: 'pending' as const, digest}};
  t.deepEqual(idsOf(plan({state: {...state, actions: begun}})), [
    'run certificates:controller',
    'run certificates:test',
  ]);
});

test('another program is another controller, also under the same version', t => {
  const state = after(plan());
  const release = aControllerRelease({programDigest: 'b'.repeat(64)});
  t.deepEqual(idsOf(plan({state, release})), ['run certificates:controller', 'run certificates:test']); // prettier-ignore
});

test('the controller tolerates what the inventory keeps others off its nodes with', t => {
  const tolerations = tolerationsOf([
    {taints: [{key: 'CriticalAddonsOnly', value: '', effect: 'NoExecute'}]},
    {taints: [{key: 'CriticalAddonsOnly', value: 'x', effect: 'NoExecute'}]},
  ]);
  const deployment = plan({tolerations}).controller?.objects.find(
    ({kind}) => kind === 'Deployment',
  );
  const text = JSON.stringify(deployment);
  const own = '{"operator":"Exists","key":"CriticalAddonsOnly","effect":"NoExecute"}';
  t.is(text.split(own).length, 2);
  t.true(text.includes('node-role.kubernetes.io/control-plane'), 'its own are kept');
});

test('another key pair is another issuer; the same pair in another form of PEM is not', t => {
  const state = after(plan({issuers: [withPair()]}));
  t.deepEqual(idsOf(plan({issuers: [withPair(other)], state})), [
    'run issuer:ClusterIssuer/company',
    'run certificates:test',
  ]);
  const sameKey = {...pair, privateKey: `\n${pair.privateKey}`};
  t.deepEqual(idsOf(plan({issuers: [withPair(sameKey)], state})), []);
});

test('no plan holds a private key, whatever is printed of it', t => {
  const issuers = [withPair()];
  const made = plan({issuers});
  const body = pair.privateKey.split('\n')[1] ?? '';
  t.false(JSON.stringify([made, after(made)]).includes(body));
  t.false(JSON.stringify(made).includes(Buffer.from(pair.privateKey).toString('base64')));
});

test('an issuer that left cluster.yaml is removed with what was made for it, and nothing else', t => {
  const {removedIssuers, lines} = plan({state: after(plan({issuers: [generated, selfSigned]}))});
  t.deepEqual(
    removedIssuers.map(({owned}) => owned.map(({kind, name, namespace}) => `${kind} ${namespace ?? ''}/${name}`)), // prettier-ignore
    [
      ['Issuer web/ca', 'Issuer web/ca-root', 'Certificate web/ca-root', 'Secret web/ca-root'],
      ['ClusterIssuer /own'],
    ],
  );
  t.deepEqual(lines.map(({action}) => action), ['remove', 'remove']); // prettier-ignore
  t.regex(lines[0]?.summary ?? '', /with the key in Secret ca-root/);
});

test("somebody else's Secret is never removed", t => {
  const theirs: IssuerSettings = {...selfSigned, source: {kind: 'ca-secret', secretName: 'theirs'}};
  const {owned} = issuerManifests(theirs);
  t.deepEqual(owned.map(({kind}) => kind), ['ClusterIssuer']); // prettier-ignore
});

test('an issuer of another kind leaves nothing of the former', t => {
  const state = after(plan({issuers: [generated]}));
  const [now] = plan({issuers: [{...generated, source: selfSigned.source}], state}).issuers;
  t.deepEqual(
    now?.obsolete.map(({kind, name}) => `${kind} ${name}`),
    ['Issuer ca-root', 'Certificate ca-root', 'Secret ca-root'],
  );
});

test('a controller that is not wanted any more goes; kinds and namespace stay', t => {
  const state = after(plan());
  const removed = plan({enabled: false, state});
  t.deepEqual(idsOf(removed), ['remove certificates:controller']);
  const kinds = removed.controllerRemoval?.map(({kind}) => kind);
  t.deepEqual(kinds, ['Deployment', 'ServiceAccount', 'ValidatingAdmissionPolicy']);
  t.deepEqual(idsOf(plan({enabled: false})), [], 'there is none');
});

test('the image takes the place of its placeholder; the pod stays where the image is sent', t => {
  const [, , deployment] = controllerObjects(aControllerRelease(), {
    image: 'r/$&:1',
    tolerations: [],
  });
  t.like(deployment, {
    spec: {
      replicas: 1,
      template: {
        metadata: {annotations: {kept: 'yes', 'provision.dev/program': 'a'.repeat(64)}},
        spec: {
          nodeSelector: {'node-role.kubernetes.io/control-plane': ''},
          containers: [{name: 'controller', image: 'r/$&:1'}],
        },
      },
    },
  });
});

test('manifests.json is read whole, and anything else is refused', t => {
  const {programDigest, ...file} = aControllerRelease();
  t.deepEqual(parseControllerRelease(JSON.stringify(file), programDigest), aControllerRelease());
  t.throws(() => parseControllerRelease('{"version": "1"}', ''), {instanceOf: TypeError});
});

test('names of objects come back from state.json as they went in', t => {
  const {owned} = issuerManifests(generated);
  t.deepEqual(parseOwned(formatOwned(owned)), owned);
  t.deepEqual(parseOwned(undefined), []);
  t.deepEqual(parseOwned({owned: '[{"kind":1}]'}), []);
});
