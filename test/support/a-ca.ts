import {createPrivateKey, generateKeyPairSync} from 'node:crypto';
import {parseCertificate} from '#certificates/x509/certificate';
import {createCertificate} from '#certificates/x509/create-certificate';
import {subjectName} from '#certificates/x509/distinguished-name';

export interface KeyPairPem {
  readonly certificate: string;
  readonly privateKey: string;
}

export interface PairOptions {
  readonly commonName?: string;
  /** Default true. */
  readonly isCa?: boolean;
  /** Default: it signs itself. */
  readonly issuer?: KeyPairPem;
  readonly dnsName?: string;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
}

const HOUR_MS = 3_600_000;

/** A certificate and its key: a CA that has been valid for an hour and will be for one more. */
export function aKeyPair(options: PairOptions = {}): KeyPairPem {
  const {commonName = 'test CA', isCa = true, issuer, dnsName} = options;
  const {privateKey: key} = generateKeyPairSync('ec', {namedCurve: 'P-256'});
  const certificate = createCertificate({
    subject: subjectName({commonName}),
    names: dnsName === undefined ? [] : [{kind: 'dns', value: dnsName}],
    publicKey: key,
    notBefore: options.notBefore ?? new Date(Date.now() - HOUR_MS),
    notAfter: options.notAfter ?? new Date(Date.now() + HOUR_MS),
    usages: isCa ? ['cert sign', 'crl sign'] : ['digital signature', 'server auth'],
    isCa,
    issuer:
      issuer === undefined
        ? {key}
        : {
            key: createPrivateKey(issuer.privateKey),
            certificate: parseCertificate(issuer.certificate),
          },
  });
  return {certificate, privateKey: String(key.export({type: 'pkcs8', format: 'pem'}))};
}
