import {findCondition} from '../../apis/conditions.ts';
import {certificateAnnotations, certificateEvents, conditionTypes} from '../../apis/names.ts';
import {issuerReference, isOurs} from '../../apis/issuer-reference.ts';
import {parseTime} from '../../apis/time.ts';
import {retryWish} from '../../policies/back-off.ts';
import {temporaryViolation} from '../../policies/certificate-checks.ts';
import {
  nextRequests,
  nextRevision,
  type CertificateState,
  type OwnedRequest,
} from '../../policies/certificate-state.ts';
import {formatKey, sameKey, wantedKey} from '../../policies/private-key.ts';
import {requestDifferences} from '../../policies/request-matches.ts';
import {failedAtOf, requestOutcome} from './request-outcome.ts';
import {nameOf} from './secret-name.ts';
import type {SecretFacts} from './secret-facts.ts';
import type {IssuedCertificate, Pause, Step} from './step.ts';

/** How long a request may be without any answer before the Certificate says so. */
const ANSWER_MS = 10_000;

/** The next step of the issuance under way: key, request, answer, Secret. */
export function decideIssuance(state: CertificateState, now: Date): Step | Pause {
  const key = decideKey(state);
  if (key.kind !== 'key') return key;
  const {secret} = key;
  const superfluous = superfluousRequests(state, secret);
  if (superfluous.length > 0) return {kind: 'delete-requests', requests: superfluous};
  const [request] = nextRequests(state);
  if (request === undefined) {
    return {kind: 'create-request', revision: nextRevision(state.certificate), key: secret};
  }
  const {name, deletionTimestamp} = request.object.metadata;
  if (deletionTimestamp !== undefined) {
    return {kind: 'pause', waitsFor: `CertificateRequest ${quote(name)} is being deleted`};
  }
  const outcome = requestOutcome(request, now);
  switch (outcome.kind) {
    case 'failed':
      return {kind: 'fail', failure: outcome.failure};
    case 'issued':
      return takeCertificate(state, secret, outcome.issued);
    case 'pending':
      return awaitAnswer(state, secret, {request, now});
    default:
      return outcome satisfies never;
  }
}

type KeyDecision = Step | Pause | {readonly kind: 'key'; readonly secret: SecretFacts};

/** One key per issuance, made before anything is asked for with it. */
function decideKey({certificate, secret, keySecrets}: CertificateState): KeyDecision {
  const named = certificate.status?.nextPrivateKeySecretName;
  const [key, ...more] = keySecrets;
  if (more.length > 0) {
    return {kind: 'delete-keys', secrets: keySecrets.filter(each => nameOf(each) !== named)};
  }
  if (key === undefined) {
    return named === undefined ? {kind: 'name-key'} : newKey(certificate, secret, named);
  }
  if (named !== undefined && nameOf(key) !== named) return {kind: 'delete-keys', secrets: [key]};
  const {keyAlgorithm} = key.keyPair;
  const isUsable = keyAlgorithm !== undefined && sameKey(keyAlgorithm, wantedKey(certificate.spec));
  if (!isUsable) return {kind: 'name-key', unusable: key};
  return named === undefined ? {kind: 'adopt-key', name: nameOf(key)} : {kind: 'key', secret: key};
}

function newKey(
  {spec}: CertificateState['certificate'],
  target: SecretFacts | undefined,
  name: string,
): Step | Pause {
  const generate = {kind: 'create-key', name, source: 'generate'} as const;
  if (spec.privateKey?.rotationPolicy !== 'Never' || target?.hasTlsKey !== true) return generate;
  const {keyAlgorithm} = target.keyPair;
  const where = `Secret ${quote(spec.secretName)}`;
  if (keyAlgorithm === undefined) {
    const message = `the private key in ${where} cannot be read; a new one is made`;
    return {...generate, warning: {reason: certificateEvents.decodeFailed, message}};
  }
  const wanted = wantedKey(spec);
  if (sameKey(keyAlgorithm, wanted)) return {kind: 'create-key', name, source: 'reuse'};
  const message = `the private key in ${where} is ${formatKey(keyAlgorithm)}, spec.privateKey asks for ${formatKey(wanted)}, and its rotationPolicy is Never; set it to Always, or delete the Secret`;
  const warning = {reason: certificateEvents.cannotRegenerateKey, message};
  return {kind: 'pause', waitsFor: message, warning};
}

/** Requests that do not belong to this issuance: made by hand, for another key, of old failures. */
function superfluousRequests(
  state: CertificateState,
  {keyPair}: SecretFacts,
): readonly OwnedRequest[] {
  const {certificate, requests} = state;
  const strays = requests.filter(({revision}) => revision === undefined);
  const next = nextRequests(state);
  const usable = next.filter(
    request =>
      requestDifferences(certificate.spec, request).length === 0 &&
      request.signing?.publicKeyDigest === keyPair.publicKeyDigest &&
      !isStale(state, request),
  );
  const unusable = next.filter(request => !usable.includes(request));
  return [...strays, ...unusable, ...usable.slice(1)].filter(
    ({object}) => object.metadata.deletionTimestamp === undefined,
  );
}

/** The failure of an earlier attempt, or one after which a retry was asked for. */
function isStale({certificate}: CertificateState, {object}: OwnedRequest): boolean {
  const failedAt = failedAtOf(object);
  if (failedAt === undefined) return false;
  const wish = retryWish(certificate);
  if (wish !== undefined && retryWish(object) !== wish) return true;
  const since = issuingSince(certificate);
  if (since === undefined) return false;
  if (failedAt < since) return true;
  // Counted already, in the second in which this attempt began.
  const countedAt = parseTime(certificate.status?.lastFailureTime);
  const createdAt = parseTime(object.metadata.creationTimestamp);
  return (
    countedAt !== undefined && createdAt !== undefined && failedAt <= countedAt && createdAt < since
  );
}

function takeCertificate(
  {certificate, secret, passwordProblem}: CertificateState,
  key: SecretFacts,
  issued: IssuedCertificate & {readonly chainDigest: string},
): Step | Pause {
  const isWritten =
    secret?.dataDigests['tls.crt'] === issued.chainDigest &&
    secret.keyPair.publicKeyDigest === key.keyPair.publicKeyDigest;
  if (isWritten) return {kind: 'finish'};
  if (passwordProblem !== undefined) {
    const warning = {
      reason: certificateEvents.keystorePasswordSecretNotFound,
      message: passwordProblem,
    };
    return {kind: 'pause', waitsFor: passwordProblem, warning};
  }
  if (secret?.immutable === true) {
    const waitsFor = `Secret ${quote(certificate.spec.secretName)} is immutable; delete it`;
    return {kind: 'pause', waitsFor};
  }
  return {kind: 'write-secret', key, issued};
}

function awaitAnswer(
  state: CertificateState,
  key: SecretFacts,
  {request, now}: {readonly request: OwnedRequest; readonly now: Date},
): Step | Pause {
  const {certificate, passwordProblem} = state;
  const {annotations} = certificate.metadata;
  const wantsTemporary = annotations?.[certificateAnnotations.issueTemporaryCertificate] === 'true';
  if (wantsTemporary && passwordProblem === undefined && temporaryViolation(state) !== undefined) {
    return {kind: 'write-temporary', key};
  }
  const name = `CertificateRequest ${quote(request.object.metadata.name)}`;
  const conditions = request.object.status?.conditions;
  const pending = findCondition(conditions, conditionTypes.ready)?.message ?? '';
  if (pending !== '') return {kind: 'pause', waitsFor: `${name} is pending: ${pending}`};
  const answerBy = new Date((issuingSince(certificate) ?? now).getTime() + ANSWER_MS);
  if (now < answerBy) return {kind: 'pause', until: answerBy};
  const isApproved = findCondition(conditions, conditionTypes.approved)?.status === 'True';
  if (!isApproved) return {kind: 'pause', waitsFor: `${name} waits for its approval`};
  const issuer = issuerReference(certificate.spec.issuerRef);
  const signer = isOurs(certificate.spec.issuerRef) ? 'to be signed' : 'for the external signer';
  const waitsFor = `${name} waits ${signer} of ${issuer.kind}.${issuer.group} ${quote(issuer.name)}`;
  return {kind: 'pause', waitsFor};
}

function issuingSince({status}: CertificateState['certificate']): Date | undefined {
  const issuing = findCondition(status?.conditions, conditionTypes.issuing);
  return parseTime(issuing?.lastTransitionTime);
}

function quote(text: string): string {
  return JSON.stringify(text);
}
