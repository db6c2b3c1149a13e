import type {Certificate} from '../apis/certificate.ts';
import {labels, secretAnnotations, secretKeys} from '../apis/names.ts';
import {additionalFormats} from '../controllers/certificates/additional-formats.ts';
import {heldValue, type SecretFacts} from '../controllers/certificates/secret-facts.ts';
import type {ManagedFields} from '../controllers/certificates/secret-managed-fields.ts';
import {isTemplateAnnotation, isTemplateLabel, templateMetadata} from './secret-template.ts';
import type {Violation} from './violation.ts';

/** What a target Secret is compared with. */
export interface PostIssuanceInput {
  readonly certificate: Certificate;
  readonly secret: SecretFacts;
  /** Whether Secrets go with their Certificates (--enable-certificate-owner-ref). */
  readonly ownerReference: boolean;
}

/**
 * Why a target Secret has to be written again with the certificate that it has; the first reason
 * that applies (certificates.md §3.2, post-issuance chain).
 *
 * Undefined for a Secret without a good key pair (that one is issued again instead), and for one
 * whose managed fields cannot be read: writing would not repair those, so it would never end.
 */
export function postIssuanceViolation(input: PostIssuanceInput): Violation | undefined {
  const {managed, keyPair} = input.secret;
  if (keyPair.kind !== 'good' || managed.kind === 'unreadable') return undefined;
  for (const check of checks) {
    const violation = check({...input, managed});
    if (violation === undefined) continue;
    return {...violation, message: `Updating Secret because ${violation.message}`};
  }
  return undefined;
}

const OUR_LABEL = labels.managed;

type Known = Extract<ManagedFields, {readonly kind: 'known'}>;
type Input = PostIssuanceInput & {readonly managed: Known};
type Check = (input: Input) => Violation | undefined;

const checks: readonly Check[] = [
  hasOurLabel,
  describesItsCertificate,
  holdsOwnMetadata,
  hasTemplateValues,
  holdsTemplateMetadata,
  hasFormats,
  hasOwner,
  hasKeystores,
];

function hasOurLabel({secret}: Input): Violation | undefined {
  const value = secret.labels[OUR_LABEL];
  if (value === undefined || value === 'true') return undefined; // absent: not held by us either
  const message = `its label ${OUR_LABEL} is ${JSON.stringify(value)} instead of "true"`;
  return {reason: 'SecretManagedMetadataMismatch', message};
}

function describesItsCertificate({secret}: Input): Violation | undefined {
  const [wrong] = secret.certificateAnnotations.wrong;
  if (wrong === undefined) return undefined;
  const message = `its annotation ${wrong} does not say what the certificate says`;
  return {reason: 'SecretManagedMetadataMismatch', message};
}

// What we hold under our own prefixes must be what we would write: no less, no more.
function holdsOwnMetadata({secret, managed}: Input): Violation | undefined {
  return (
    compare('label', {
      held: managed.labels.filter(key => !isTemplateLabel(key)),
      expected: [OUR_LABEL],
      reason: 'SecretManagedMetadataMismatch',
    }) ??
    compare('annotation', {
      held: managed.annotations.filter(key => !isTemplateAnnotation(key) && !provenance.has(key)),
      expected: secret.certificateAnnotations.expected,
      reason: 'SecretManagedMetadataMismatch',
    })
  );
}

function hasTemplateValues({certificate, secret}: Input): Violation | undefined {
  const {labels, annotations} = templateMetadata(certificate.spec);
  const wrong =
    differing('label', {template: labels, actual: secret.labels}) ??
    differing('annotation', {template: annotations, actual: secret.annotations});
  if (wrong === undefined) return undefined;
  return {reason: 'SecretTemplateMismatch', message: wrong};
}

function holdsTemplateMetadata({certificate, managed}: Input): Violation | undefined {
  const {labels, annotations} = templateMetadata(certificate.spec);
  return (
    compare('label', {
      held: managed.labels.filter(isTemplateLabel),
      expected: Object.keys(labels),
      reason: 'SecretTemplateMismatch',
    }) ??
    compare('annotation', {
      held: managed.annotations.filter(isTemplateAnnotation),
      expected: Object.keys(annotations),
      reason: 'SecretTemplateMismatch',
    })
  );
}

function hasFormats({certificate, secret, managed}: Input): Violation | undefined {
  const wanted = new Set((certificate.spec.additionalOutputFormats ?? []).map(({type}) => type));
  for (const format of ['DER', 'CombinedPEM'] as const) {
    const {dataKey} = additionalFormats[format];
    const isHeld = managed.dataKeys.includes(dataKey);
    const verdict = secret.formats[format];
    const problem = wanted.has(format)
      ? formatProblem(dataKey, {verdict, isHeld})
      : isHeld && `it holds ${dataKey}, which additionalOutputFormats does not ask for (any more)`;
    if (problem !== undefined && problem !== false) {
      return {reason: 'AdditionalOutputFormatsMismatch', message: problem};
    }
  }
  return undefined;
}

function formatProblem(
  dataKey: string,
  {verdict, isHeld}: {readonly verdict: SecretFacts['formats']['DER']; readonly isHeld: boolean},
): string | undefined {
  if (verdict === 'absent') return `it lacks ${dataKey}, which additionalOutputFormats asks for`;
  if (verdict === 'wrong') return `its ${dataKey} does not agree with its key pair`;
  return isHeld ? undefined : `its ${dataKey} was written by somebody else`;
}

function hasOwner({certificate, secret, ownerReference, managed}: Input): Violation | undefined {
  const uid = certificate.metadata.uid ?? '';
  const isHeld = managed.ownerUids.includes(uid);
  const reason = 'SecretOwnerRefMismatch';
  if (!ownerReference) {
    if (!isHeld) return undefined;
    return {
      reason,
      message: 'it is owned by its Certificate, and owner references are switched off',
    };
  }
  const isRight = secret.ownerReferences.some(
    owner => owner.uid === uid && isOwnerOf(owner, certificate),
  );
  if (isHeld && isRight) return undefined;
  return {
    reason,
    message: 'it is not owned by its Certificate, and owner references are switched on',
  };
}

function isOwnerOf(
  owner: SecretFacts['ownerReferences'][number],
  {metadata}: Certificate,
): boolean {
  const {kind, name, controller, blockOwnerDeletion} = owner;
  const isRight = kind === 'Certificate' && name === metadata.name;
  return isRight && controller === true && blockOwnerDeletion === true;
}

/** By presence; what is inside is compared where the passwords are. */
function hasKeystores({certificate, secret}: Input): Violation | undefined {
  const {jks, pkcs12} = certificate.spec.keystores ?? {};
  const hasCa = secret.dataKeys.includes(secretKeys.ca);
  const problem =
    keystoreProblem(secret, {isWanted: jks?.create === true, hasCa, suffix: 'jks'}) ??
    keystoreProblem(secret, {isWanted: pkcs12?.create === true, hasCa, suffix: 'p12'});
  return problem === undefined ? undefined : {reason: 'SecretMismatch', message: problem};
}

function keystoreProblem(
  {dataKeys, managed}: SecretFacts,
  {isWanted, hasCa, suffix}: {readonly isWanted: boolean; readonly hasCa: boolean; readonly suffix: string}, // prettier-ignore
): string | undefined {
  const store = `keystore.${suffix}`;
  const truststore = `truststore.${suffix}`;
  if (isWanted) {
    const missing = [store, ...(hasCa ? [truststore] : [])].find(key => !dataKeys.includes(key));
    return missing === undefined ? undefined : `it lacks ${missing}, which keystores asks for`;
  }
  // Somebody else's key of that name is not ours to remove, and writing again would not remove it.
  const ours = managed.kind === 'known' ? managed.dataKeys : [];
  const left = [store, truststore].find(key => ours.includes(key));
  return left === undefined
    ? undefined
    : `it holds ${left}, which keystores does not ask for (any more)`;
}

type TextRecord = Readonly<Record<string, string>>;

function differing(
  what: string,
  {template, actual}: {readonly template: TextRecord; readonly actual: TextRecord},
): string | undefined {
  const key = Object.keys(template).find(
    name => actual[name] !== undefined && actual[name] !== heldValue(template[name] ?? ''),
  );
  return key === undefined ? undefined : `its ${what} ${key} is not as secretTemplate has it`;
}

interface Comparison {
  readonly held: readonly string[];
  readonly expected: readonly string[];
  readonly reason: string;
}

function compare(what: string, {held, expected, reason}: Comparison): Violation | undefined {
  const missing = expected.filter(key => !held.includes(key));
  if (missing.length > 0) {
    return {reason, message: `it lacks these ${what}s of ours: ${missing.toSorted().join(', ')}`};
  }
  const extra = held.filter(key => !expected.includes(key));
  if (extra.length === 0) return undefined;
  return {
    reason,
    message: `it has these ${what}s that are not wanted: ${extra.toSorted().join(', ')}`,
  };
}

const provenance = new Set<string>([
  secretAnnotations.certificateName,
  secretAnnotations.issuerName,
  secretAnnotations.issuerKind,
  secretAnnotations.issuerGroup,
]);
