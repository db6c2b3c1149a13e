import type {IssuerSpec} from '../apis/issuer.ts';
import type {SecretReader} from '../controllers/secret-reader.ts';
import {issuerReasons} from '../apis/names.ts';
import {createCaIssuer} from './ca.ts';
import {createCaStore} from './ca-store.ts';
import type {IssuerKind, IssuerType, Remark} from './issuer-type.ts';
import {createSelfSignedIssuer} from './self-signed.ts';

/** Finds out who signs for an issuer. */
export interface IssuerTypes {
  of(spec: IssuerSpec): FoundType;
}

export type FoundType =
  | {readonly kind: 'known'; readonly type: IssuerType}
  /** None, several, or one that this version does not have; for the Ready condition. */
  | ({readonly kind: 'unknown'} & Remark);

const KINDS: readonly IssuerKind[] = ['selfSigned', 'ca', 'acme', 'vault', 'venafi'];

/** All types that this version has. */
export function createIssuerTypes({secrets}: {readonly secrets: SecretReader}): IssuerTypes {
  const types = [createSelfSignedIssuer(secrets), createCaIssuer(createCaStore(secrets))];
  const known = new Map(types.map(type => [type.kind, type]));
  return {
    of: spec => {
      const present = KINDS.filter(kind => spec[kind] !== undefined);
      const [kind] = present;
      if (kind === undefined || present.length > 1) {
        return {
          kind: 'unknown',
          reason: issuerReasons.errInitIssuer,
          message: `spec must have exactly one of ${KINDS.join(', ')}, and has ${present.length === 0 ? 'none' : present.join(' and ')}; keep one`,
        };
      }
      const type = known.get(kind);
      if (type !== undefined) return {kind: 'known', type};
      return {
        kind: 'unknown',
        reason: 'IssuerTypeNotSupported',
        message: `this version of the controller does not have the issuer type ${kind}; it has ${[...known.keys()].join(' and ')}: use one of those, or an external issuer`,
      };
    },
  };
}
