import {GO_DURATION, isEmpty, isFilled, literal} from './cel.ts';
import type {CelRule} from './json-schema.ts';
import {SUBJECT_FIELDS} from './subject-fields.ts';

/**
 * What a Certificate must be, as far as the API server can tell it from the object alone and for
 * texts and lists of any size (docs/decisions/0006). `validation.ts` says all of it again, for
 * objects that were stored before these rules.
 */

const NAME_FIELDS = [
  'commonName',
  'dnsNames',
  'ipAddresses',
  'uris',
  'emailAddresses',
  'otherNames',
  'literalSubject',
];
const CONSTRAINT_FIELDS = ['dnsDomains', 'emailAddresses', 'ipRanges', 'uriDomains'];
const algorithm = `(has(self.privateKey) && has(self.privateKey.algorithm) ? self.privateKey.algorithm : 'RSA')`;

/** Of the whole spec. */
export const specRules: readonly CelRule[] = [
  {
    rule: NAME_FIELDS.map(field => isFilled(`self.${field}`)).join(' || '),
    message:
      'set at least one of commonName, literalSubject, dnsNames, ipAddresses, uris, emailAddresses and otherNames',
  },
  {
    rule: `${isEmpty('self.literalSubject')} || ${isEmpty('self.commonName')}`,
    message: 'literalSubject is the whole subject: leave out commonName, or literalSubject',
  },
  {
    rule: `${isEmpty('self.literalSubject')} || !has(self.subject) || (${SUBJECT_FIELDS.map(field =>
      isEmpty(`self.subject.${field}`),
    ).join(' && ')})`,
    message: 'literalSubject is the whole subject: leave out subject, or literalSubject',
  },
  {
    rule: `!has(self.renewBefore) || !has(self.renewBeforePercentage)`,
    message: 'renewBefore and renewBeforePercentage exclude each other: leave one out',
  },
  {
    rule: `!has(self.renewBefore) || duration(self.renewBefore) < duration(has(self.duration) ? self.duration : '2160h')`,
    message: 'renewBefore must be shorter than duration (2160h when it is not set)',
    fieldPath: '.renewBefore',
  },
  {
    rule: `!has(self.nameConstraints) || (has(self.isCA) && self.isCA)`,
    message: 'nameConstraints are for CAs: set isCA to true, or leave them out',
    fieldPath: '.nameConstraints',
  },
  {
    rule: `!has(self.signatureAlgorithm) || (${algorithm} == 'RSA' ? self.signatureAlgorithm.endsWith('WithRSA') : ${algorithm} == 'ECDSA' ? self.signatureAlgorithm.startsWith('ECDSAWith') : self.signatureAlgorithm == 'PureEd25519')`,
    message:
      'signatureAlgorithm must suit privateKey.algorithm (RSA when it is not set): ...WithRSA for RSA, ECDSAWith... for ECDSA, PureEd25519 for Ed25519',
    fieldPath: '.signatureAlgorithm',
  },
];

export const secretNameRule: CelRule = {
  rule: `self.size() <= 253 && self.matches(${literal('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')})`,
  message:
    'must be a name of a Secret: at most 253 lower case letters, digits, "-" and ".", with a letter or digit at both ends of each part',
};

export const commonNameRule: CelRule = {
  rule: 'self.size() <= 64',
  message: 'must have at most 64 characters: put longer names into dnsNames',
};

export const durationRule = atLeast('1h');
export const renewBeforeRule = atLeast('5m');

export const percentageRule: CelRule = {
  rule: 'self > 0 && self < 100',
  message: 'must be between 1 and 99',
};

export const historyRule: CelRule = {rule: 'self >= 1', message: 'must be at least 1'};

export const privateKeyRule: CelRule = {
  rule: `!has(self.size) || self.size == 0 || (!has(self.algorithm) || self.algorithm == 'RSA' ? self.size >= 2048 && self.size <= 8192 : self.algorithm == 'ECDSA' ? self.size in [256, 384, 521] : self.size > 0)`,
  message: 'size must be 2048 to 8192 for RSA, and 256, 384 or 521 for ECDSA',
};

/** Of `jks` and `pkcs12`. */
export const keystoreRules: readonly CelRule[] = [
  {
    rule: `!(${isFilled('self.password')} && has(self.passwordSecretRef) && self.passwordSecretRef.name.size() > 0)`,
    message: 'password and passwordSecretRef exclude each other: leave one out',
  },
  {
    rule: `!self.create || ${isFilled('self.password')} || (has(self.passwordSecretRef) && self.passwordSecretRef.name.size() > 0)`,
    message: 'set passwordSecretRef, or password',
  },
];

/** More windows have no use, and each is a search in the calendar. */
export const RENEWAL_WINDOWS_MAX = 50;

export const renewalRules: readonly CelRule[] = [
  {
    rule: `!has(self.policy) || self.policy != 'Disabled' || ${isEmpty('self.windows')}`,
    message: 'windows have no meaning when policy is Disabled: leave them out, or the policy',
  },
  {
    rule: `!has(self.windows) || self.windows.size() <= ${RENEWAL_WINDOWS_MAX}`,
    message: `at most ${RENEWAL_WINDOWS_MAX} windows: put several times into one cron, e.g. 0 2 * * 0,6`,
  },
];

export const outputFormatsRule: CelRule = {
  rule: 'self.size() < 2 || (self.size() == 2 && self[0].type != self[1].type)',
  message: 'each format may be there once',
};

export const nameConstraintsRule: CelRule = {
  rule: ['permitted', 'excluded']
    .map(
      set =>
        `(has(self.${set}) && (${CONSTRAINT_FIELDS.map(field => isFilled(`self.${set}.${field}`)).join(' || ')}))`,
    )
    .join(' || '),
  message: 'set at least one list of permitted or excluded names',
};

function atLeast(shortest: string): CelRule {
  return {
    rule: `self.matches(${literal(GO_DURATION)}) && duration(self) >= duration('${shortest}')`,
    message: `must be a duration of at least ${shortest}, e.g. 2160h; there is no unit for days`,
  };
}
