import type {KeyObject} from 'node:crypto';
import {parseCertificate, type ParsedCertificate} from '#certificates/x509/certificate';
import {createCertificate} from '#certificates/x509/create-certificate';
import {subjectName, type SubjectFields} from '#certificates/x509/distinguished-name';
import type {GeneralName} from '#certificates/x509/general-names';
import {generatePrivateKey, type KeyAlgorithm} from '#certificates/x509/keys';

/** A leaf with its key, the intermediate that signed it, and the root. */
export interface AChain {
  readonly key: KeyObject;
  readonly leaf: ParsedCertificate;
  readonly intermediate: ParsedCertificate;
  readonly root: ParsedCertificate;
  /** Leaf and intermediate. */
  readonly chainPem: string;
  readonly caPem: string;
}

export interface AChainOptions {
  readonly algorithm?: KeyAlgorithm;
  readonly subject?: SubjectFields;
  readonly names?: readonly GeneralName[];
  readonly notBefore?: Date;
  readonly notAfter?: Date;
}

/** Makes a chain of three with small keys. */
export async function aChain({
  algorithm = {kind: 'ECDSA', size: 256},
  subject = {commonName: 'www.example.com'},
  names = [{kind: 'dns', value: 'www.example.com'}],
  notBefore = new Date('2026-01-01T00:00:00Z'),
  notAfter = new Date('2036-01-01T00:00:00Z'),
}: AChainOptions = {}): Promise<AChain> {
  const root = await aCa('Root', {notBefore, notAfter});
  const intermediate = await aCa('Intermediate', {notBefore, notAfter}, root);
  const key = await generatePrivateKey(algorithm);
  const leaf = parseCertificate(
    createCertificate({
      subject: subjectName(subject),
      names,
      publicKey: key,
      notBefore,
      notAfter,
      usages: ['digital signature', 'key encipherment'],
      isCa: false,
      issuer: intermediate,
    }),
  );
  return {
    key,
    leaf,
    intermediate: intermediate.certificate,
    root: root.certificate,
    chainPem: leaf.pem + intermediate.certificate.pem,
    caPem: root.certificate.pem,
  };
}

interface Ca {
  readonly key: KeyObject;
  readonly certificate: ParsedCertificate;
}

async function aCa(
  commonName: string,
  validity: {readonly notBefore: Date; readonly notAfter: Date},
  issuer?: Ca,
): Promise<Ca> {
  const key = await generatePrivateKey({kind: 'ECDSA', size: 256});
  const pem = createCertificate({
    subject: subjectName({commonName, organizations: ['Example, Inc.']}),
    names: [],
    publicKey: key,
    ...validity,
    usages: ['cert sign'],
    isCa: true,
    issuer: issuer ?? {key},
  });
  return {key, certificate: parseCertificate(pem)};
}
