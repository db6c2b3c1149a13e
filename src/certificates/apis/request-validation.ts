import {messageOf} from '#shared/errors';
import {parseSigningRequest, type SigningRequest} from '../x509/certificate-request.ts';
import {effectiveUsages, usageBits} from '../x509/extensions.ts';
import type {CertificateRequestSpec} from './certificate-request.ts';
import {isOurs, type IssuerReference} from './issuer-reference.ts';
import {durationProblems, quote, refusalOf, when} from './problems.ts';

/**
 * Why a CertificateRequest cannot be signed, one sentence each, with what to do; empty when it can.
 * The API server cannot look into `request`: this can.
 */
export function certificateRequestProblems(spec: CertificateRequestSpec): readonly string[] {
  return [
    ...issuerReferenceProblems(spec.issuerRef),
    ...durationProblems('spec.duration', spec.duration, {shortestMs: 1, shortest: '1h'}),
    ...requestProblems(spec),
  ];
}

/** What is wrong with `spec.issuerRef`, of a Certificate as of a CertificateRequest. */
export function issuerReferenceProblems(reference: IssuerReference): readonly string[] {
  const {name, kind = ''} = reference;
  return [
    ...when(name === '', 'spec.issuerRef.name is empty: name the issuer'),
    ...when(
      isOurs(reference) && !['', 'Issuer', 'ClusterIssuer'].includes(kind),
      `spec.issuerRef.kind is ${quote(kind)}: it must be Issuer or ClusterIssuer, or set group for an issuer of another controller`,
    ),
  ];
}

function requestProblems({
  request,
  usages,
  isCA = false,
}: CertificateRequestSpec): readonly string[] {
  if (request === '')
    return ['spec.request is empty: set it to a PEM certificate request, in base64'];
  let parsed: SigningRequest;
  try {
    parsed = parseSigningRequest(Buffer.from(request, 'base64'));
  } catch (error) {
    return [`spec.request: ${messageOf(error)}`];
  }
  return [
    ...when(
      !parsed.signatureIsValid(),
      'spec.request is not signed by the key that it names: make it again with the private key',
    ),
    ...usageProblems(parsed, effectiveUsages(usages, isCA)),
    ...when(
      parsed.isCa !== undefined && parsed.isCa !== isCA,
      `spec.request asks for ${parsed.isCa === true ? 'a CA' : 'no CA'}, spec.isCA is ${isCA}: they must agree`,
    ),
  ];
}

/** Each of the two extensions is compared where the request has it. */
function usageProblems(parsed: SigningRequest, expected: readonly string[]): readonly string[] {
  const unknown = refusalOf('spec.usages', () => usageBits(expected));
  if (unknown.length > 0) return unknown;
  const asked = usageBits(parsed.usages ?? []);
  const wanted = usageBits(expected);
  return (['keyUsages', 'extendedKeyUsages'] as const).flatMap(kind => {
    const [inRequest, inSpec] = [
      asked[kind].toSorted().join(', '),
      wanted[kind].toSorted().join(', '),
    ];
    return when(
      inRequest !== '' && inRequest !== inSpec,
      `spec.request asks for the usages ${quote(inRequest)}, spec.usages means ${quote(inSpec)}: they must agree`,
    );
  });
}
