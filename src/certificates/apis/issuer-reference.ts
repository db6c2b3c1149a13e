import {isEmpty, isFilled} from './cel.ts';
import type {FromSchema} from './from-schema.ts';
import {object, text, withRules} from './json-schema.ts';
import {GROUP} from './names.ts';

/** `spec.issuerRef` of Certificate, CertificateRequest, Order and Challenge. */
export const issuerReferenceSchema = object({group: text, kind: text, name: text}, 'name');

/** The same where the API server refuses what cannot be meant. */
export const checkedIssuerReferenceSchema = withRules(
  issuerReferenceSchema,
  {rule: 'self.name.size() > 0', message: 'name the issuer', fieldPath: '.name'},
  {
    rule: `${isFilled('self.group')} && self.group != '${GROUP}' || ${isEmpty('self.kind')} || self.kind in ['Issuer', 'ClusterIssuer']`,
    message: `must be Issuer or ClusterIssuer, or set group for an issuer of another controller`,
    fieldPath: '.kind',
  },
);

export type IssuerReference = FromSchema<typeof issuerReferenceSchema>;

/** A reference as it was read, perhaps from annotations; `undefined` and empty mean the default. */
interface PartialReference {
  readonly name: string;
  readonly kind?: string | undefined;
  readonly group?: string | undefined;
}

/** A reference with nothing left out. */
export interface FullIssuerReference {
  readonly name: string;
  /** `Issuer` or `ClusterIssuer` for our own group; any word for a foreign one. */
  readonly kind: string;
  readonly group: string;
}

/**
 * Fills in what a reference leaves out: kind Issuer, group cert-manager.io. The API does not: these
 * defaults are those of whoever reads (cert-manager.io/v1 `IssuerReference`).
 */
export function issuerReference({name, kind, group}: PartialReference): FullIssuerReference {
  return {name, kind: orDefault(kind, 'Issuer'), group: orDefault(group, GROUP)};
}

/** Whether the issuer is one of this controller; any other group belongs to an external issuer. */
export function isOurs(reference: PartialReference): boolean {
  return issuerReference(reference).group === GROUP;
}

function orDefault(value: string | undefined, fallback: string): string {
  return value === undefined || value === '' ? fallback : value;
}
