import {bytes, object, text, withRules} from './json-schema.ts';
import {secretKeyReferenceSchema as secretKey, secretReferenceSchema} from './references.ts';

const tpp = object(
  {caBundle: bytes, caBundleSecretRef: secretKey, credentialsRef: secretReferenceSchema, url: text},
  'credentialsRef',
  'url',
);

/** `spec.venafi` of an issuer. */
export const venafiIssuerSchema = withRules(
  object(
    {
      cloud: object({apiTokenSecretRef: secretKey, url: text}, 'apiTokenSecretRef'),
      ngts: object(
        {credentialsRef: secretReferenceSchema, tokenEndpoint: text, tsgID: text, url: text},
        'credentialsRef',
        'tsgID',
      ),
      tpp,
      zone: text,
    },
    'zone',
  ),
  {
    rule: '(has(self.tpp) ? 1 : 0) + (has(self.cloud) ? 1 : 0) + (has(self.ngts) ? 1 : 0) == 1',
    message: 'exactly one of tpp, cloud, or ngts must be configured',
  },
);
