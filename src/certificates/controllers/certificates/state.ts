import {messageOf} from '#shared/errors';
import type {Certificate} from '../../apis/certificate.ts';
import type {CertificateRequest} from '../../apis/certificate-request.ts';
import {requestAnnotations} from '../../apis/names.ts';
import {certificateProblems} from '../../apis/validation.ts';
import type {CertificateState, OwnedRequest} from '../../policies/certificate-state.ts';
import {parseSigningRequest, type SigningRequest} from '../../x509/certificate-request.ts';
import type {ReconcilerDependencies} from '../dependencies.ts';
import {passwordProblem} from './keystore-passwords.ts';
import {signingParameters} from './signing-request.ts';

export type StateSources = Pick<ReconcilerDependencies, 'views' | 'secrets'>;

/**
 * Reads a Certificate and everything that decides about it from the views; a Secret without our
 * label may cost a request.
 *
 * @returns undefined when there is no such Certificate
 */
export async function gatherState(
  key: string,
  {views, secrets}: StateSources,
  {signal}: {readonly signal: AbortSignal},
): Promise<CertificateState | undefined> {
  const certificate = views.certificates.get(key)?.object;
  if (certificate === undefined) return undefined;
  const {uid = '', namespace = ''} = certificate.metadata;
  const {secretName} = certificate.spec;
  const target = `${namespace}/${secretName}`;
  const password = await passwordProblem(certificate, {secrets}, {signal});
  // A Secret that was written once is missed only when it is surely gone.
  const isExpected = certificate.status?.revision !== undefined;
  const secret = await secrets.facts({namespace, name: secretName}, {signal, isExpected});
  // From here on nothing waits: what the views say belongs together.
  return {
    certificate: views.certificates.get(key)?.object ?? certificate,
    secret: views.secrets.get(target) ?? secret,
    keySecrets: views.secrets.byIndex('owner', uid).filter(each => each.isTemporaryKey),
    requests: views.certificateRequests
      .byIndex('owner', uid)
      .map(({object}) => ownedRequest(object, certificate)),
    rivals: views.certificates
      .byIndex('secret', target)
      .flatMap(({object}) => (object.metadata.uid === uid ? [] : [object])),
    problems: problemsOf(certificate),
    passwordProblem: password,
  };
}

/** A request with what its annotations and its signing request say. */
export function ownedRequest(
  object: CertificateRequest,
  {status}: Pick<Certificate, 'status'>,
): OwnedRequest {
  const revision = revisionOf(object);
  const present = status?.revision ?? 0;
  // Older ones only wait to be deleted.
  const counts = revision !== undefined && revision >= present && revision <= present + 1;
  return {object, revision, signing: counts ? parseOrNothing(object.spec.request) : undefined};
}

function revisionOf({metadata}: CertificateRequest): number | undefined {
  const text = metadata.annotations?.[requestAnnotations.certificateRevision];
  return text !== undefined && /^[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined;
}

/**
 * An issuance looks at its request at each of its steps, and reading one takes about as long as
 * all the rest of a decision: the latest are kept. What a text says never changes.
 */
const RECENT_MAX = 128;
const recent = new Map<string, SigningRequest | undefined>();

function parseOrNothing(request: string): SigningRequest | undefined {
  if (recent.has(request)) return recent.get(request);
  const parsed = parse(request);
  for (const oldest of recent.size < RECENT_MAX ? [] : recent.keys().take(1)) recent.delete(oldest);
  recent.set(request, parsed);
  return parsed;
}

function parse(request: string): SigningRequest | undefined {
  try {
    return parseSigningRequest(Buffer.from(request, 'base64').toString('utf8'));
  } catch {
    return undefined; // a request that nobody can read is not what the specification asks for
  }
}

function problemsOf({spec}: Certificate): readonly string[] {
  const problems = certificateProblems(spec);
  if (problems.length > 0) return problems;
  try {
    signingParameters(spec);
    return [];
  } catch (error) {
    return [messageOf(error)];
  }
}
