import test from 'ava';
import type {Certificate, CertificateStatus} from '#certificates/apis/certificate';
import type {Condition} from '#certificates/apis/conditions';
import {formatTime} from '#certificates/apis/time';
import {decide} from '#certificates/controllers/certificates/decide';
import type {SecretFacts} from '#certificates/controllers/certificates/secret-facts';
import type {CertificateState, OwnedRequest} from '#certificates/policies/certificate-state';
import {aWorld, type World} from '#test/certificates/a-world';

// Every rule of decide() as one change of a state that was really reached.

interface Case {
  readonly state: CertificateState;
  readonly now: Date;
}
type Change = (at: Case) => CertificateState;

const MINUTE_MS = 60_000;
let world: World;
/** Ready, with nothing to do. */
let ready: Case;
/** Key and request are there, the answer is not. */
let asked: Case;
/** The answer is there, the Secret is not. */
let answered: Case;

test.before(async () => {
  world = await aWorld();
  world.order('web');
  await world.settle();
  ready = {state: await world.state('web'), now: world.clock.now()};

  const other = await aWorld();
  other.order('web');
  other.api.obstacle = ({verb, kind}) => {
    if (verb === 'update-status' && kind === 'CertificateRequest') throw new Error('slow');
  };
  await other.settle({retries: 2}).catch(() => undefined);
  asked = {state: await other.state('web'), now: other.clock.now()};
  other.api.obstacle = ({verb}) => {
    if (verb === 'apply') throw new Error('slow');
  };
  other.restart();
  await other.settle({retries: 2}).catch(() => undefined);
  answered = {state: await other.state('web'), now: other.clock.now()};
});

function withStatus(state: CertificateState, status: Partial<CertificateStatus>): CertificateState {
  const certificate = {...state.certificate, status: {...state.certificate.status, ...status}};
  return {...state, certificate};
}

function without(state: CertificateState, field: keyof CertificateStatus): CertificateState {
  const {[field]: _gone, ...status} = state.certificate.status ?? {};
  return {...state, certificate: {...state.certificate, status}};
}

function withSpec(state: CertificateState, spec: Partial<Certificate['spec']>): CertificateState {
  const certificate = {...state.certificate, spec: {...state.certificate.spec, ...spec}};
  return {...state, certificate};
}

function withSecret(state: CertificateState, facts: Partial<SecretFacts>): CertificateState {
  if (state.secret === undefined) throw new Error('there is no Secret');
  return {...state, secret: {...state.secret, ...facts}};
}

function withRequest(state: CertificateState, change: (request: OwnedRequest) => OwnedRequest) {
  return {...state, requests: state.requests.map(change)};
}

function withKey(state: CertificateState, facts: Partial<SecretFacts>): CertificateState {
  return {...state, keySecrets: state.keySecrets.map(each => ({...each, ...facts}))};
}

function conditions(state: CertificateState, ...more: readonly Condition[]): CertificateState {
  const types = more.map(({type}) => type);
  const kept = (state.certificate.status?.conditions ?? []).filter(
    ({type}) => !types.includes(type),
  );
  return withStatus(state, {conditions: [...kept, ...more]});
}

function issuing(status: 'True' | 'False', at: Date, reason = 'Renewing'): Condition {
  return {type: 'Issuing', status, reason, message: '', lastTransitionTime: formatTime(at)};
}

function ended(now: Date, condition: object): Change {
  return ({state}) =>
    withRequest(state, request => ({
      ...request,
      object: {
        ...request.object,
        status: {
          failureTime: formatTime(now),
          conditions: [{status: 'True', reason: 'r', message: 'm', ...condition} as never],
        },
      },
    }));
}

const annotated = (state: CertificateState, annotations: Record<string, string>) => {
  const {certificate} = state;
  return {
    ...state,
    certificate: {...certificate, metadata: {...certificate.metadata, annotations}},
  };
};

// prettier-ignore
const table: readonly (readonly [string, () => Case, Change, object, number?])[] = [
  // §3.3 trigger
  ['nothing to do: waits until the renewal', () => ready, ({state}) => state, {kind: 'wait'}],
  ['deleted', () => ready, ({state}) => ({...state, certificate: {...state.certificate, metadata: {...state.certificate.metadata, deletionTimestamp: 'x'}}}), {kind: 'idle'}],
  ['no Secret', () => ready, ({state}) => ({...state, secret: undefined}), {kind: 'begin-issuing', violation: {reason: 'DoesNotExist'}}],
  ['Secret without a key', () => ready, ({state}) => withSecret(state, {hasTlsKey: false}), {kind: 'begin-issuing', violation: {reason: 'MissingData'}}],
  ['Secret without a certificate', () => ready, ({state}) => withSecret(state, {hasTlsCrt: false}), {kind: 'begin-issuing', violation: {reason: 'MissingData'}}],
  ['a broken key', () => ready, ({state}) => withSecret(state, {keyPair: {kind: 'invalid-key'}}), {kind: 'begin-issuing', violation: {reason: 'InvalidKeyPair'}}],
  ['a broken certificate', () => ready, ({state}) => withSecret(state, {keyPair: {kind: 'invalid-certificate'}}), {kind: 'begin-issuing', violation: {reason: 'InvalidCertificate'}}],
  ['a certificate of another key', () => ready, ({state}) => withSecret(state, {keyPair: {kind: 'mismatch'}}), {kind: 'begin-issuing', violation: {reason: 'InvalidKeyPair'}}],
  ['issued by nobody we know', () => ready, ({state}) => withSecret(state, {annotations: {}}), {kind: 'begin-issuing', violation: {reason: 'IncorrectIssuer'}}],
  ['issued for a Certificate that is gone', () => ready, ({state}) => withSecret(state, {annotations: {...state.secret?.annotations, 'cert-manager.io/certificate-name': 'x'}}), {kind: 'begin-issuing', violation: {reason: 'IncorrectCertificate'}}],
  ['another key size is wanted', () => ready, ({state}) => withSpec(state, {privateKey: {algorithm: 'ECDSA', size: 521}}), {kind: 'begin-issuing', violation: {reason: 'SecretMismatch'}}],
  ['the key is not the one of the request', () => ready, ({state}) => withRequest(state, request => ({...request, signing: undefined})), {kind: 'begin-issuing', violation: {reason: 'SecretMismatch'}}],
  ['another name is wanted', () => ready, ({state}) => withSpec(state, {dnsNames: ['x.example.com']}), {kind: 'begin-issuing', violation: {reason: 'RequestChanged'}}],
  ['the request is gone, the certificate is right', () => ready, ({state}) => ({...state, requests: []}), {kind: 'wait'}],
  ['the request is gone, another name is wanted', () => ready, ({state}) => ({...withSpec(state, {dnsNames: ['x.example.com']}), requests: []}), {kind: 'begin-issuing', violation: {reason: 'SecretMismatch'}}],
  ['renewal is due', () => ready, ({state}) => state, {kind: 'begin-issuing', violation: {reason: 'Renewing'}}, 61 * 24 * 60 * MINUTE_MS],
  ['the certificate is over', () => ready, ({state}) => state, {kind: 'begin-issuing', violation: {reason: 'Renewing'}}, 91 * 24 * 60 * MINUTE_MS],
  ['over, and renewal switched off', () => ready, ({state}) => withSpec(state, {renewal: {policy: 'Disabled'}}), {kind: 'update-readiness'}, 91 * 24 * 60 * MINUTE_MS],
  ['failed a minute ago', () => ready, ({state, now}) => conditions(withStatus({...state, secret: undefined}, {lastFailureTime: formatTime(now), failedIssuanceAttempts: 1}), issuing('False', now)), {kind: 'update-readiness'}, MINUTE_MS],
  ['failed an hour ago', () => ready, ({state, now}) => withStatus({...state, secret: undefined}, {lastFailureTime: formatTime(now), failedIssuanceAttempts: 1}), {kind: 'begin-issuing'}, 60 * MINUTE_MS],
  ['failed twice, an hour ago', () => ready, ({state, now}) => withStatus({...state, secret: undefined}, {lastFailureTime: formatTime(now), failedIssuanceAttempts: 2}), {kind: 'update-readiness'}, 60 * MINUTE_MS],
  ['failed, with a time that nobody can read', () => ready, ({state}) => withStatus({...state, secret: undefined}, {lastFailureTime: 'yesterday'}), {kind: 'begin-issuing'}],
  ['issued too often', () => ready, ({state, now}) => ({...state, secret: undefined, held: {issuing: new Date(now.getTime() + MINUTE_MS)}}), {kind: 'update-readiness'}],
  ['issued too often, and now due', () => ready, ({state, now}) => ({...state, held: {issuing: new Date(now.getTime() + 1e12)}}), {kind: 'begin-issuing', violation: {reason: 'Renewing'}}, 61 * 24 * 60 * MINUTE_MS],
  // Ownership of the Secret
  ['an older rival, no Secret yet', () => ready, ({state}) => ({...state, secret: undefined, rivals: [rival(state, 'a', '2020-01-01T00:00:00Z')]}), {kind: 'update-readiness'}],
  ['a younger rival, no Secret yet', () => ready, ({state}) => ({...state, secret: undefined, rivals: [rival(state, 'a', '2030-01-01T00:00:00Z')]}), {kind: 'begin-issuing'}],
  ['a rival of the same second with an earlier name', () => ready, ({state}) => ({...state, secret: undefined, rivals: [rival(state, 'a', state.certificate.metadata.creationTimestamp ?? '')]}), {kind: 'update-readiness'}],
  ['a rival of the same second with a later name', () => ready, ({state}) => ({...state, secret: undefined, rivals: [rival(state, 'z', state.certificate.metadata.creationTimestamp ?? '')]}), {kind: 'begin-issuing'}],
  ['an older rival, but the Secret is ours', () => ready, ({state}) => ({...state, rivals: [rival(state, 'a', '2020-01-01T00:00:00Z')]}), {kind: 'wait'}],
  ['an older rival that is being deleted', () => ready, ({state}) => ({...state, secret: undefined, rivals: [rival(state, 'a', '2020-01-01T00:00:00Z', 'now')]}), {kind: 'begin-issuing'}],
  ['issuing, and the Secret turns out to be a rival\'s', () => asked, ({state}) => ({...state, rivals: [rival(state, 'a', '2020-01-01T00:00:00Z')]}), {kind: 'abandon'}],
  ['not issuing, a rival\'s Secret, and a key left over', () => ready, ({state}) => ({...state, secret: undefined, keySecrets: asked.state.keySecrets, rivals: [rival(state, 'a', '2020-01-01T00:00:00Z')]}), {kind: 'delete-keys'}],
  // §3.5 keys
  ['not issuing, a key left over', () => ready, ({state}) => ({...state, keySecrets: asked.state.keySecrets}), {kind: 'delete-keys'}],
  ['not issuing, a name left over', () => ready, ({state}) => withStatus(state, {nextPrivateKeySecretName: 'web-xxxxx'}), {kind: 'update-readiness'}],
  ['issuing by hand: no name yet', () => ready, ({state, now}) => conditions(state, issuing('True', now, 'ManuallyTriggered')), {kind: 'name-key'}],
  ['issuing, a name without its Secret', () => asked, ({state}) => ({...state, keySecrets: []}), {kind: 'create-key', source: 'generate'}],
  ['issuing, a key without its name', () => asked, ({state}) => without(state, 'nextPrivateKeySecretName'), {kind: 'adopt-key'}],
  ['issuing, another key than the named one', () => asked, ({state}) => withStatus(state, {nextPrivateKeySecretName: 'web-other'}), {kind: 'delete-keys'}],
  ['issuing, two keys', () => asked, ({state}) => ({...state, keySecrets: [...state.keySecrets, ...state.keySecrets.map(each => ({...each, key: 'shop/web-other'}))]}), {kind: 'delete-keys', secrets: {length: 1, 0: {key: 'shop/web-other'}}}],
  ['issuing, two keys and no name', () => asked, ({state}) => without({...state, keySecrets: [...state.keySecrets, ...state.keySecrets]}, 'nextPrivateKeySecretName'), {kind: 'delete-keys', secrets: {length: 2}}],
  ['issuing, a key that cannot be read', () => asked, ({state}) => withKey(state, {keyPair: {kind: 'invalid-key'}}), {kind: 'name-key'}],
  ['issuing, an empty Secret for the key', () => asked, ({state}) => withKey(state, {keyPair: {kind: 'missing'}}), {kind: 'name-key'}],
  ['issuing, and another kind of key is wanted', () => asked, ({state}) => withSpec(state, {privateKey: {algorithm: 'Ed25519'}}), {kind: 'name-key'}],
  ['Never, with a key to keep', () => asked, ({state}) => never({...state, keySecrets: [], secret: ready.state.secret}), {kind: 'create-key', source: 'reuse'}],
  ['Never, without a Secret', () => asked, ({state}) => never({...state, keySecrets: []}), {kind: 'create-key', source: 'generate'}],
  ['Never, with a key that cannot be read', () => asked, ({state}) => never(withSecret({...state, keySecrets: [], secret: ready.state.secret}, {keyPair: {kind: 'invalid-key'}})), {kind: 'create-key', source: 'generate', warning: {reason: 'DecodeFailed'}}],
  ['Never, with a key of another size', () => asked, ({state}) => never({...state, keySecrets: [], secret: ready.state.secret}, 521), {kind: 'update-readiness', warning: {reason: 'CannotRegenerateKey'}}],
  // §3.6 requests
  ['no request yet', () => asked, ({state}) => ({...state, requests: []}), {kind: 'create-request', revision: 1}],
  ['no request yet, third revision', () => asked, ({state}) => withStatus({...state, requests: []}, {revision: 2}), {kind: 'create-request', revision: 3}],
  ['a request for another name', () => asked, ({state}) => withSpec(state, {dnsNames: ['x.example.com']}), {kind: 'delete-requests'}],
  ['a request for another key', () => asked, ({state}) => withKey(state, {keyPair: {kind: 'missing', keyAlgorithm: {kind: 'ECDSA', size: 256}, publicKeyDigest: 'x'}}), {kind: 'delete-requests'}],
  ['a request that cannot be read', () => asked, ({state}) => withRequest(state, request => ({...request, signing: undefined})), {kind: 'delete-requests'}],
  ['a request without a revision', () => asked, ({state}) => withRequest(state, request => ({...request, revision: undefined})), {kind: 'delete-requests'}],
  ['two requests for one revision', () => asked, ({state}) => ({...state, requests: [...state.requests, ...state.requests]}), {kind: 'delete-requests', requests: {length: 1}}],
  ['a request that failed before this attempt', () => asked, ({state, now}) => ended(new Date(now.getTime() - 5_000), {type: 'Ready', status: 'False', reason: 'Failed'})({state, now}), {kind: 'delete-requests'}],
  ['a request that was denied before this attempt', () => asked, ({state, now}) => ended(new Date(now.getTime() - 5_000), {type: 'Denied'})({state, now}), {kind: 'delete-requests'}],
  ['a request that is being deleted', () => asked, ({state}) => withRequest(state, request => ({...request, object: {...request.object, metadata: {...request.object.metadata, deletionTimestamp: 'x'}}})), {kind: 'update-readiness'}],
  ['a request that failed, and a retry is asked for', () => asked, ({state, now}) => annotated(ended(now, {type: 'Ready', status: 'False', reason: 'Failed'})({state, now}), {'slipway.dev/retry-now': '1'}), {kind: 'delete-requests'}],
  // §3.7 issuing
  ['no answer yet', () => asked, ({state}) => state, {kind: 'wait'}],
  ['no answer for a while', () => asked, ({state}) => state, {kind: 'update-readiness'}, 11_000],
  ['denied', () => asked, ({state, now}) => ended(now, {type: 'Denied'})({state, now}), {kind: 'fail', failure: {reason: 'Denied'}}],
  ['invalid', () => asked, ({state, now}) => ended(now, {type: 'InvalidRequest'})({state, now}), {kind: 'fail', failure: {reason: 'InvalidRequest'}}],
  ['denied goes before failed', () => asked, ({state, now}) => ended(now, {type: 'Denied'})({state, now}), {kind: 'fail', failure: {reason: 'Denied'}}],
  ['failed', () => asked, ({state, now}) => ended(now, {type: 'Ready', status: 'False', reason: 'Failed'})({state, now}), {kind: 'fail', failure: {reason: 'Failed'}}],
  ['not denied', () => asked, ({state, now}) => ended(now, {type: 'Denied', status: 'False'})({state, now}), {kind: 'wait'}],
  ['issued without a certificate', () => asked, ({state, now}) => ended(now, {type: 'Ready', reason: 'Issued'})({state, now}), {kind: 'fail', failure: {reason: 'InvalidCertificate'}}],
  ['issued', () => answered, ({state}) => state, {kind: 'write-secret'}],
  ['issued, but over by now', () => answered, ({state}) => state, {kind: 'fail', failure: {reason: 'InvalidCertificate'}}, 91 * 24 * 60 * MINUTE_MS],
  ['issued, no password for the keystore', () => answered, ({state}) => ({...state, passwordProblem: 'no password'}), {kind: 'update-readiness', warning: {reason: 'KeystorePasswordSecretNotFound'}}],
  ['issued, and the Secret may not be changed', () => answered, ({state}) => withSecret({...state, secret: ready.state.secret}, {immutable: true}), {kind: 'update-readiness'}],
  ['issued, an older certificate in the Secret', () => answered, ({state}) => ({...state, secret: ready.state.secret}), {kind: 'write-secret'}],
  ['issued and in the Secret', () => answered, ({state}) => written(state), {kind: 'finish'}],
  ['a temporary certificate is wanted', () => asked, ({state}) => annotated(state, {'cert-manager.io/issue-temporary-certificate': 'true'}), {kind: 'write-temporary'}],
  ['a temporary certificate is not wanted', () => asked, ({state}) => annotated(state, {'cert-manager.io/issue-temporary-certificate': 'false'}), {kind: 'wait'}],
  ['a temporary certificate is wanted, a certificate is there', () => asked, ({state}) => annotated({...state, secret: ready.state.secret}, {'cert-manager.io/issue-temporary-certificate': 'true'}), {kind: 'update-readiness'}],
  ['the specification went wrong meanwhile', () => asked, ({state}) => ({...state, problems: ['spec.x: nonsense']}), {kind: 'update-readiness'}],
  // §3.7 A, §3.8, §3.9
  ['a label of the template is missing', () => ready, ({state}) => withSpec(state, {secretTemplate: {labels: {a: 'b'}}}), {kind: 'repair-secret', violation: {reason: 'SecretTemplateMismatch'}}],
  ['a label is missing, but it was put back too often', () => ready, ({state, now}) => ({...withSpec(state, {secretTemplate: {labels: {a: 'b'}}}), held: {repair: new Date(now.getTime() + 1_000)}}), {kind: 'update-readiness'}],
  ['a format is missing', () => ready, ({state}) => withSpec(state, {additionalOutputFormats: [{type: 'DER'}]}), {kind: 'repair-secret', violation: {reason: 'AdditionalOutputFormatsMismatch'}}],
  ['managed fields that cannot be read', () => ready, ({state}) => withSecret(state, {managed: {kind: 'unreadable', message: 'x'}}), {kind: 'wait'}],
  ['a new generation', () => ready, ({state}) => ({...state, certificate: {...state.certificate, metadata: {...state.certificate.metadata, generation: 9}}}), {kind: 'update-readiness'}],
  ['a status that somebody emptied', () => ready, ({state}) => ({...state, certificate: {...state.certificate, status: {revision: 1}}}), {kind: 'update-readiness', status: {revision: 1, notAfter: '2026-05-30T00:00:00Z'}}],
  ['an old request', () => ready, ({state}) => withStatus({...state, requests: [...state.requests, ...state.requests.map(each => ({...each, revision: 2}))]}, {revision: 2}), {kind: 'prune-requests', requests: {length: 1, 0: {revision: 1}}}],
  ['an old request, and two are kept', () => ready, ({state}) => withSpec(withStatus({...state, requests: [...state.requests, ...state.requests.map(each => ({...each, revision: 2}))]}, {revision: 2}), {revisionHistoryLimit: 2}), {kind: 'wait'}],
  ['a request of a failure remains', () => ready, ({state}) => ({...state, requests: [...state.requests, ...state.requests.map(each => ({...each, revision: 2}))]}), {kind: 'wait'}],
];

for (const [title, from, change, step, laterMs = 0] of table) {
  test(`decide: ${title} → ${(step as {readonly kind: string}).kind}`, t => {
    const at = from();
    const now = new Date(at.now.getTime() + laterMs);
    const decided = decide(change(at), now, world.settings);
    t.like(decided, step as typeof decided);
    t.deepEqual(decide(change(at), now, world.settings), decided, 'the same state, the same step');
  });
}

function rival({certificate}: CertificateState, name: string, created: string, gone?: string) {
  const metadata = {
    ...certificate.metadata,
    name,
    uid: name,
    creationTimestamp: created,
    ...(gone !== undefined && {deletionTimestamp: gone}),
  };
  return {...certificate, metadata};
}

function never(state: CertificateState, size?: number): CertificateState {
  const key = {algorithm: 'ECDSA', rotationPolicy: 'Never'} as const;
  return withSpec(state, {privateKey: size === undefined ? key : {...key, size}});
}

/** As the apply of the Secret leaves it. */
function written(state: CertificateState): CertificateState {
  const step = decide(state, answered.now, world.settings);
  if (step.kind !== 'write-secret') throw new Error('not answered');
  const {chainDigest} = step.issued as {readonly chainDigest?: string};
  return withSecret(
    {...state, secret: ready.state.secret},
    {
      dataDigests: {'tls.crt': chainDigest ?? ''},
      keyPair: {...step.key.keyPair, kind: 'good'},
    },
  );
}
