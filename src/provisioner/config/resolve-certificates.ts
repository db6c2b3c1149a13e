import {Secret} from '#shared/secret';
import type {CaKeyPair, CertificateSettings, IssuerSource} from '../role/cluster.ts';
import {caKeyPairProblem} from './ca-key-pair.ts';
import {
  type CertificatesDocument,
  type IssuerDocument,
  laterKinds,
  type SecretReference,
} from './certificates-schema.ts';
import {problemAt, type ConfigDocument, type Problem} from './problem.ts';

/** A value that cluster.yaml names and does not hold. */
export interface NamedSecret {
  readonly reference: SecretReference;
  /** Where cluster.yaml names it. */
  readonly path: readonly PropertyKey[];
  /** A private key: nobody else may read its file. */
  readonly isPrivate: boolean;
}

/** Reads what a reference names; reports what is wrong with it and returns undefined. */
export type ReadSecret = (secret: NamedSecret) => Promise<string | undefined>;

const ISSUERS_PATH = ['spec', 'certificates', 'issuers'] as const;
const IN_CA = ['generate', 'secretName', 'certificate'] as const;

type Report = (path: readonly PropertyKey[], problem: Parameters<typeof problemAt>[1]) => void;

/** What does not fit together in `spec.certificates`, whatever the files that it names hold. */
export function findCertificateProblems(
  source: ConfigDocument,
  {enabled, issuers}: CertificatesDocument,
): readonly Problem[] {
  const problems: Problem[] = [];
  const report: Report = (path, problem) => {
    problems.push(problemAt({...source, path: [...ISSUERS_PATH, ...path]}, problem));
  };
  if (!enabled && issuers.length > 0) {
    report([], {
      code: 'ERR_CONFIG_VALUE',
      message: 'there are issuers, and enabled is false',
      hint: 'remove the issuers, or enable the controller that makes them work',
    });
  }
  const seen = new Map<string, number>();
  for (const [index, issuer] of issuers.entries()) {
    const key = `${issuer.namespace ?? ''}/${issuer.name}`;
    const first = seen.get(key);
    seen.set(key, first ?? index);
    if (first !== undefined) {
      report([index, 'name'], {
        code: 'ERR_CONFIG_DUPLICATE_ISSUER',
        message: `issuers[${first}] has the same name${issuer.namespace === undefined ? '' : ' and namespace'}`,
        hint: 'give each issuer a name of its own',
      });
    }
    const isOfLater = Object.keys(laterKinds).some(
      kind => source.document.positionOf([...ISSUERS_PATH, index, kind]) !== undefined,
    );
    if (isOfLater) continue; // reported as an unknown key
    reportIssuer(issuer, (path, problem) => {
      report([index, ...path], problem);
    });
  }
  return problems;
}

function reportIssuer({selfSigned, ca}: IssuerDocument, report: Report): void {
  const oneOf = (path: readonly PropertyKey[], message: string) => {
    report(path, {code: 'ERR_CONFIG_VALUE', message});
  };
  if ((selfSigned === undefined) === (ca === undefined)) {
    oneOf([], 'expected one of selfSigned and ca');
  }
  if (ca === undefined) return;
  if (IN_CA.filter(key => ca[key] !== undefined).length !== 1) {
    oneOf(['ca'], 'expected one of generate, secretName, and certificate with privateKey');
  }
  if ((ca.certificate === undefined) !== (ca.privateKey === undefined)) {
    oneOf(['ca'], 'certificate and privateKey belong together');
  }
  for (const key of ['certificate', 'privateKey'] as const) {
    const reference = ca[key];
    if (reference === undefined) continue;
    if ((reference.fromFile === undefined) === (reference.fromEnv === undefined)) {
      oneOf(['ca', key], 'expected one of fromFile and fromEnv');
    }
  }
}

export interface ReadKeyPairs {
  readonly read: ReadSecret;
  readonly now: Date;
  readonly report: (problem: Problem) => void;
}

/**
 * Reads the key pairs that issuers name, by the issuer's index. Every problem is reported; an
 * issuer with one has no entry.
 */
export async function readKeyPairs(
  source: ConfigDocument,
  {issuers}: CertificatesDocument,
  {read, now, report}: ReadKeyPairs,
): Promise<ReadonlyMap<number, CaKeyPair>> {
  const pairs = new Map<number, CaKeyPair>();
  for (const [index, {ca}] of issuers.entries()) {
    if (ca?.certificate === undefined || ca.privateKey === undefined) continue;
    const path = [...ISSUERS_PATH, index, 'ca'];
    const [certificate, key] = [
      await read({
        reference: ca.certificate,
        path: [...path, 'certificate'],
        isPrivate: false,
      }),
      await read({reference: ca.privateKey, path: [...path, 'privateKey'], isPrivate: true}),
    ];
    if (certificate === undefined || key === undefined) continue;
    const pair = {certificate, privateKey: new Secret(key)};
    const problem = caKeyPairProblem(pair, now);
    if (problem === undefined) pairs.set(index, pair);
    else {
      const {key: culprit, ...rest} = problem;
      report(
        problemAt({...source, path: [...path, culprit]}, {code: 'ERR_CONFIG_CA_UNUSABLE', ...rest}),
      );
    }
  }
  return pairs;
}

/** The settings as the rest of the program sees them; the document has no problems. */
export function toCertificates(
  {enabled, issuers}: CertificatesDocument,
  {
    clusterName,
    keyPairs,
  }: {
    readonly clusterName: string;
    readonly keyPairs: ReadonlyMap<number, CaKeyPair>;
  },
): CertificateSettings {
  return {
    enabled,
    issuers: issuers.map((issuer, index) => ({
      name: issuer.name,
      namespace: issuer.namespace,
      source: toSource(issuer, {clusterName, keyPair: keyPairs.get(index)}),
    })),
  };
}

function toSource(
  {name, selfSigned, ca}: IssuerDocument,
  {clusterName, keyPair}: {readonly clusterName: string; readonly keyPair: CaKeyPair | undefined},
): IssuerSource {
  if (selfSigned !== undefined) return {kind: 'self-signed', ...selfSigned};
  if (ca?.generate !== undefined) {
    const {commonName = `${clusterName} ${name}`.slice(0, 64), duration} = ca.generate;
    return {kind: 'generated-ca', commonName, duration};
  }
  if (ca?.secretName !== undefined) return {kind: 'ca-secret', secretName: ca.secretName};
  return {kind: 'ca-key-pair', keyPair};
}
