import {countOf, isEmpty, isFilled, literal} from './cel.ts';
import type {CelRule} from './json-schema.ts';

/**
 * What an Issuer or ClusterIssuer must be, as far as no list has to be looked through: for that see
 * issuer-policy.ts, and for objects stored before these rules validation.ts.
 */

export const ISSUER_TYPES = ['acme', 'ca', 'selfSigned', 'vault', 'venafi'] as const;
const VAULT_AUTH = ['appRole', 'aws', 'clientCertificate', 'kubernetes', 'tokenSecretRef'];

export const issuerTypeRule: CelRule = {
  rule: `${countOf('self', ISSUER_TYPES)} == 1`,
  message: `set exactly one of ${ISSUER_TYPES.join(', ')}`,
};

export const caRule: CelRule = {
  rule: 'self.secretName.size() > 0',
  message: 'name the Secret with the certificate and the key of the CA',
  fieldPath: '.secretName',
};

export const acmeRules: readonly CelRule[] = [
  {
    rule: 'self.server.size() > 0',
    message: 'must be the URL of the directory of the ACME server',
    fieldPath: '.server',
  },
  {
    rule: 'self.privateKeySecretRef.name.size() > 0',
    message: 'name the Secret that holds the key of the ACME account',
    fieldPath: '.privateKeySecretRef',
  },
  {
    rule: `${isEmpty('self.caBundle')} || !has(self.skipTLSVerify) || !self.skipTLSVerify`,
    message: 'caBundle and skipTLSVerify exclude each other: leave one out',
  },
  {
    rule: `!has(self.externalAccountBinding) || (self.externalAccountBinding.keyID.size() > 0 && self.externalAccountBinding.keySecretRef.name.size() > 0)`,
    message: 'externalAccountBinding needs keyID and the name of the Secret with the key',
    fieldPath: '.externalAccountBinding',
  },
];

export const vaultRules: readonly CelRule[] = [
  {
    rule: 'self.server.size() > 0',
    message: 'must be the URL of the Vault server',
    fieldPath: '.server',
  },
  {
    rule: 'self.path.size() > 0',
    message: 'must be the path of the sign endpoint, e.g. pki/sign/role',
    fieldPath: '.path',
  },
  {...staysBelow('self.path'), fieldPath: '.path'},
  {
    rule: `${isEmpty('self.caBundle')} || !has(self.caBundleSecretRef)`,
    message: 'caBundle and caBundleSecretRef exclude each other: leave one out',
  },
  {
    rule: 'has(self.clientCertSecretRef) == has(self.clientKeySecretRef)',
    message: 'clientCertSecretRef and clientKeySecretRef belong together: set both or none',
  },
];

export const vaultAuthRules: readonly CelRule[] = [
  {
    rule: `${countOf('self', VAULT_AUTH)} == 1`,
    message: `set exactly one of ${VAULT_AUTH.join(', ')}`,
  },
  {
    rule: `!has(self.tokenSecretRef) || self.tokenSecretRef.name.size() > 0`,
    message: 'name the Secret with the token',
    fieldPath: '.tokenSecretRef',
  },
  {
    rule: `!has(self.appRole) || (self.appRole.roleId.size() > 0 && self.appRole.secretRef.name.size() > 0)`,
    message: 'appRole needs roleId and the name of the Secret with the secret id',
    fieldPath: '.appRole',
  },
  {
    rule: `!has(self.kubernetes) || (self.kubernetes.role.size() > 0 && has(self.kubernetes.serviceAccountRef) != (has(self.kubernetes.secretRef) && self.kubernetes.secretRef.name.size() > 0))`,
    message: 'kubernetes needs role, and either serviceAccountRef or secretRef',
    fieldPath: '.kubernetes',
  },
  ...['appRole.path', 'aws.mountPath', 'clientCertificate.mountPath', 'kubernetes.mountPath'].map(
    staysBelowOptional,
  ),
];

function staysBelowOptional(path: string): CelRule {
  const method = path.split('.')[0] ?? '';
  const {rule, message} = staysBelow(`self.${path}`);
  return {
    rule: `!has(self.${method}) || !has(self.${path}) || ${rule}`,
    message,
    fieldPath: `.${method}`,
  };
}

function staysBelow(path: string): CelRule {
  return {
    rule: `!${path}.matches(${literal('(^|/)[.][.](/|$)')})`,
    message: 'a path must not have the segment ".."',
  };
}

/** A field of an ACME object's status that the server has given once. */
export function onceSet(field: string): CelRule {
  return {
    rule: `${isEmpty(`oldSelf.${field}`)} || (${isFilled(`self.${field}`)} && self.${field} == oldSelf.${field})`,
    message: `${field} never changes once it is set`,
    reason: 'FieldValueForbidden',
  };
}
