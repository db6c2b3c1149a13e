import {isCoded} from '#shared/errors';
import {conditionIsTrue} from '../../apis/conditions.ts';
import {formatGoDuration, parseGoDuration} from '../../apis/duration.ts';
import type {Issuer} from '../../apis/issuer.ts';
import {signingRequestAnnotations, signingRequestEvents} from '../../apis/names.ts';
import type {SigningRequestObject} from '../../apis/signing-request.ts';
import type {IssuerType, Remark, SigningInput} from '../../issuers/issuer-type.ts';
import type {IssuerTypes} from '../../issuers/registry.ts';
import {readSigningInput} from '../../issuers/signing-input.ts';
import {issuerReadiness} from '../issuers/readiness.ts';
import {signerIssuer} from './signing-request-object.ts';

/** Everything that the next step of a CertificateSigningRequest depends on. */
export interface SigningRequestState {
  readonly request: SigningRequestObject;
  /** The issuer that its signer name means; undefined where there is none. */
  readonly issuer: Issuer | undefined;
  readonly issuerTypes: IssuerTypes;
  /** Names of the controllers that run. */
  readonly controllers: readonly string[];
  /** Where ClusterIssuers have their Secrets. */
  readonly clusterResourceNamespace: string;
  /** Whether the requester may use an issuer of that namespace, once that was asked. */
  readonly mayReference: boolean | undefined;
}

export type SigningRequestStep =
  /** Not ours, or done. */
  | {readonly kind: 'leave'}
  /** Something else has to change first. */
  | ({readonly kind: 'wait'} & Remark)
  | ({readonly kind: 'fail'} & Remark)
  /** `mayReference` is needed to go on. */
  | {readonly kind: 'ask-for-reference'; readonly namespace: string; readonly name: string}
  | {
      readonly kind: 'sign';
      readonly issuer: Issuer;
      readonly type: IssuerType;
      readonly input: SigningInput;
    };

/**
 * The rules for CertificateSigningRequests of Kubernetes (certificates.md §1.11) in their order:
 * nothing is ever approved here, and who may not reference the issuer learns nothing about it.
 */
export function decideSigningRequest(state: SigningRequestState): SigningRequestStep {
  const {request, issuer, issuerTypes, controllers} = state;
  const signer = signerIssuer(request.spec.signerName);
  if (signer === undefined || isDone(request)) return {kind: 'leave'};
  if (!conditionIsTrue(request.status?.conditions, 'Approved')) {
    return wait(
      signingRequestEvents.waitingApproval,
      'not signed before it is approved: kubectl certificate approve',
    );
  }
  const where = signer.namespace === undefined ? signer.name : `${signer.namespace}/${signer.name}`;
  const title = `${signer.kind} ${where}`;
  if (issuer === undefined) {
    return wait(
      signingRequestEvents.issuerNotFound,
      `there is no ${title}; create it, and this request goes on`,
    );
  }
  const found = issuerTypes.of(issuer.spec);
  if (found.kind === 'unknown') {
    return wait(signingRequestEvents.issuerTypeMissing, `${title}: ${found.message}`);
  }
  if (!controllers.includes(signerName(found.type))) return {kind: 'leave'};
  if (signer.namespace !== undefined && state.mayReference !== true) {
    if (state.mayReference === undefined) {
      return {kind: 'ask-for-reference', namespace: signer.namespace, name: signer.name};
    }
    return {
      kind: 'fail',
      reason: signingRequestEvents.deniedReference,
      message: `${request.spec.username ?? 'the requester'} may not use ${title}; grant the verb "reference" on resource "signers" of group cert-manager.io, name ${signer.name}, in namespace ${signer.namespace}, and make the request again`,
    };
  }
  const readiness = issuerReadiness(issuer);
  if (!readiness.ready) {
    return wait(signingRequestEvents.issuerNotReady, `${title} is not ready: ${readiness.message}`);
  }
  return decideInput(state, issuer, found.type);
}

/** Kubernetes refuses less (certificates.k8s.io/v1 `expirationSeconds`). */
const DURATION_MS_MIN = 600_000;
const DURATION_MS_DEFAULT = 90 * 24 * 3_600_000;

function decideInput(
  {request, clusterResourceNamespace}: SigningRequestState,
  issuer: Issuer,
  type: IssuerType,
): SigningRequestStep {
  const {annotations = {}} = request.metadata;
  const durationMs = readDuration(
    annotations[signingRequestAnnotations.duration],
    request.spec.expirationSeconds,
  );
  if (typeof durationMs === 'string') {
    return {kind: 'fail', reason: signingRequestEvents.errorParseDuration, message: durationMs};
  }
  if (durationMs < DURATION_MS_MIN) {
    return {
      kind: 'fail',
      reason: signingRequestEvents.invalidDuration,
      message: `the requested duration is ${formatGoDuration(durationMs)}; it must be at least ${formatGoDuration(DURATION_MS_MIN)}`,
    };
  }
  const secretName = annotations[signingRequestAnnotations.privateKeySecretName];
  const read = readSigningInput({
    request: request.spec.request,
    durationMs,
    isCa: annotations[signingRequestAnnotations.isCA] === 'true',
    usages: request.spec.usages,
    ...(secretName === undefined || secretName === ''
      ? {}
      : {
          privateKeySecret: {
            namespace: issuer.metadata.namespace ?? clusterResourceNamespace,
            name: secretName,
          },
        }),
  });
  if (read.kind === 'invalid') {
    return {kind: 'fail', reason: signingRequestEvents.requestParsingError, message: read.message};
  }
  return {kind: 'sign', issuer, type, input: read.input};
}

/** Milliseconds, or what is wrong; the annotation goes before the field. */
function readDuration(
  text: string | undefined,
  expirationSeconds: number | undefined,
): number | string {
  if (text === undefined) {
    return expirationSeconds === undefined ? DURATION_MS_DEFAULT : expirationSeconds * 1_000;
  }
  try {
    return parseGoDuration(text);
  } catch (error) {
    if (!isCoded(error)) throw error;
    return `annotation ${signingRequestAnnotations.duration}: ${error.message}; ${error.hint}`;
  }
}

function isDone({metadata, status}: SigningRequestObject): boolean {
  const {conditions, certificate} = status ?? {};
  return (
    metadata.deletionTimestamp !== undefined ||
    (certificate !== undefined && certificate !== '') ||
    conditionIsTrue(conditions, 'Denied') ||
    conditionIsTrue(conditions, 'Failed')
  );
}

/** cert-manager's name of the part that signs. */
function signerName({kind}: IssuerType): string {
  return `certificatesigningrequests-issuer-${kind.toLowerCase()}`;
}

function wait(reason: string, message: string): SigningRequestStep {
  return {kind: 'wait', reason, message};
}
