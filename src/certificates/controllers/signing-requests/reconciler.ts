import {isRecord} from '#shared/kube/json';
import {signingRequestEvents} from '../../apis/names.ts';
import {signingRequests, subjectAccessReviews} from '../../apis/resources.ts';
import type {SigningRequestObject} from '../../apis/signing-request.ts';
import {formatTime} from '../../apis/time.ts';
import type {Issuer} from '../../apis/issuer.ts';
import type {Remark} from '../../issuers/issuer-type.ts';
import type {Outcome} from '../../kube/work-queue.ts';
import type {ReconcilerDependencies} from '../dependencies.ts';
import {writeStatus} from '../write-status.ts';
import {decideSigningRequest, type SigningRequestStep} from './decide.ts';
import {signerIssuer} from './signing-request-object.ts';

interface Waiting {
  readonly signal: AbortSignal;
}

/** Signs approved CertificateSigningRequests of Kubernetes that name one of our issuers. */
export function createSigningRequestReconciler(
  dependencies: ReconcilerDependencies,
): (key: string, waiting: Waiting) => Promise<Outcome> {
  const {views, issuerTypes, settings, events} = dependencies;
  return async (key, waiting) => {
    const request = views.signingRequests.get(key)?.object;
    if (request === undefined) return;
    const {controllers, clusterResourceNamespace} = settings;
    const issuer = issuerOf(request, dependencies);
    const decide = (mayReference?: boolean): SigningRequestStep =>
      decideSigningRequest({
        request,
        issuer,
        issuerTypes,
        controllers,
        clusterResourceNamespace,
        mayReference,
      });
    const first = decide();
    const step =
      first.kind === 'ask-for-reference'
        ? decide(await mayReference(request, first, dependencies, waiting))
        : first;
    switch (step.kind) {
      case 'leave':
      case 'ask-for-reference': // answered above
        return;
      case 'wait':
        events.record(request, {type: 'Normal', reason: step.reason, message: step.message});
        return;
      case 'fail':
        await fail(request, step, dependencies, waiting);
        return;
      case 'sign':
        return sign(request, step, dependencies, waiting);
    }
  };
}

function issuerOf(
  {spec}: SigningRequestObject,
  {views}: ReconcilerDependencies,
): Issuer | undefined {
  const signer = signerIssuer(spec.signerName);
  if (signer === undefined) return undefined;
  const {namespace, name} = signer;
  return namespace === undefined
    ? views.clusterIssuers.get(name)?.object
    : views.issuers.get(`${namespace}/${name}`)?.object;
}

/**
 * Asks Kubernetes whether the requester has the verb `reference` on the issuer, by its name or by
 * `*` (authorization.k8s.io/v1 SubjectAccessReview).
 */
async function mayReference(
  {spec}: SigningRequestObject,
  {namespace, name}: {readonly namespace: string; readonly name: string},
  {client}: ReconcilerDependencies,
  {signal}: Waiting,
): Promise<boolean> {
  for (const resourceName of [name, '*']) {
    const review = await client.create(
      subjectAccessReviews,
      {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        metadata: {name: ''},
        spec: {
          user: spec.username ?? '',
          groups: spec.groups ?? [],
          extra: spec.extra ?? {},
          uid: spec.uid ?? '',
          resourceAttributes: {
            group: 'cert-manager.io',
            resource: 'signers',
            verb: 'reference',
            namespace,
            name: resourceName,
            version: '*',
          },
        },
      },
      {signal},
    );
    const {status} = review;
    if (isRecord(status) && status['allowed'] === true) return true;
  }
  return false;
}

async function sign(
  request: SigningRequestObject,
  {issuer, type, input}: Extract<SigningRequestStep, {kind: 'sign'}>,
  dependencies: ReconcilerDependencies,
  waiting: Waiting,
): Promise<Outcome> {
  const {clock, settings, events} = dependencies;
  const result = await type.sign(input, issuer, {
    secretNamespace: issuer.metadata.namespace ?? settings.clusterResourceNamespace,
    now: clock.now(),
    signal: waiting.signal,
  });
  switch (result.kind) {
    case 'pending': {
      // The one reason that cert-manager calls otherwise here.
      const reason =
        result.reason === 'MissingSecret' ? signingRequestEvents.secretNotFound : result.reason;
      events.record(request, {type: 'Warning', reason, message: result.message});
      return result.requeueAt === undefined ? undefined : {requeueAt: result.requeueAt};
    }
    case 'failed':
      await fail(request, result, dependencies, waiting);
      return;
    case 'issued': {
      const certificate = Buffer.from(result.chainPem, 'utf8').toString('base64');
      const signed = {...request, status: {...request.status, certificate}};
      const remarks = (result.warnings ?? []).map(
        remark => ({type: 'Warning', ...remark}) as const,
      );
      const reason = signingRequestEvents.certificateIssued;
      const message = `signed by ${request.spec.signerName}`;
      await write(signed, [...remarks, {type: 'Normal', reason, message}], dependencies, waiting);
      return;
    }
  }
}

/** A failed request stays failed: certificates.k8s.io takes no condition away. */
async function fail(
  request: SigningRequestObject,
  {reason, message}: Remark,
  dependencies: ReconcilerDependencies,
  waiting: Waiting,
): Promise<void> {
  const now = formatTime(dependencies.clock.now());
  const {signerName} = request.spec;
  dependencies.log.warn('signing request refused', {
    request: request.metadata.name,
    signerName,
    reason,
    message,
  });
  const failed = {
    type: 'Failed',
    status: 'True',
    reason,
    message,
    lastUpdateTime: now,
    lastTransitionTime: now,
  } as const;
  const conditions = [...(request.status?.conditions ?? []), failed];
  const changed = {...request, status: {...request.status, conditions}};
  await write(changed, [{type: 'Warning', reason, message}], dependencies, waiting);
}

async function write(
  changed: SigningRequestObject,
  remarks: readonly (Remark & {readonly type: 'Normal' | 'Warning'})[],
  {client, views, events}: ReconcilerDependencies,
  {signal}: Waiting,
): Promise<void> {
  const target = {client, resource: signingRequests, view: views.signingRequests, signal};
  const written = await writeStatus(changed, target);
  if (written === undefined) return;
  for (const {type, reason, message} of remarks) events.record(written, {type, reason, message});
}
