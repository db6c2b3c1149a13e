import type {KeyObject} from 'node:crypto';
import {parseCertificate, type ParsedCertificate} from '../../x509/certificate.ts';
import {createCertificate} from '../../x509/create-certificate.ts';
import {parseSigningRequest} from '../../x509/certificate-request.ts';
import {subjectName, type DistinguishedName} from '../../x509/distinguished-name.ts';
import {generatePrivateKey} from '../../x509/keys.ts';
import {nameAttributes} from '../../x509/name-attributes.ts';

export interface TemporaryCertificateInput {
  /** The signing request of the issuance under way: names, usages and key come from it. */
  readonly requestPem: string;
  readonly now: Date;
  readonly durationMs: number;
}

/**
 * A certificate that fills the Secret until the issuer answers (annotation
 * issue-temporary-certificate): with the wanted names, of a throw-away CA that nobody trusts.
 *
 * Its CA has the common name `cert-manager.local` and is forgotten at once; `ca.crt` stays unset
 * (certificates.md §3.7).
 * @returns PEM of the leaf alone
 */
export async function temporaryCertificate({
  requestPem,
  now,
  durationMs,
}: TemporaryCertificateInput): Promise<string> {
  const request = parseSigningRequest(requestPem);
  const validity = {notBefore: now, notAfter: new Date(now.getTime() + durationMs)};
  const ca = await temporaryCa(validity);
  return createCertificate({
    subject: marked(request.subject),
    names: request.names,
    publicKey: request.publicKey,
    ...validity,
    usages: request.usages ?? [],
    isCa: request.isCa ?? false,
    issuer: ca,
  });
}

/** The serial number (of the subject) that every temporary certificate has, in place of another. */
function marked(subject: DistinguishedName): DistinguishedName {
  const others = subject.filter(
    level => !level.some(({oid}) => oid === nameAttributes.SERIALNUMBER),
  );
  return [...others, ...subjectName({serialNumber: '1234567890'})];
}

async function temporaryCa(validity: {readonly notBefore: Date; readonly notAfter: Date}): Promise<{
  readonly key: KeyObject;
  readonly certificate: ParsedCertificate;
}> {
  const key = await generatePrivateKey({kind: 'ECDSA', size: 521});
  const pem = createCertificate({
    subject: subjectName({commonName: 'cert-manager.local'}),
    names: [],
    publicKey: key,
    ...validity,
    usages: ['cert sign'],
    isCa: true,
    issuer: {key},
  });
  return {key, certificate: parseCertificate(pem)};
}
