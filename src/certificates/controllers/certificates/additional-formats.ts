import {secretKeys} from '../../apis/names.ts';

/** What a Secret can hold beside `tls.key` and `tls.crt` (Certificate `additionalOutputFormats`). */
export type AdditionalFormat = 'DER' | 'CombinedPEM';

/** The PEM texts as they are in `tls.key` and `tls.crt`. */
export interface PemKeyPair {
  readonly key: Buffer;
  readonly chain: Buffer;
}

interface Encoding {
  readonly dataKey: string;
  /** Undefined for a key that is not PEM. */
  readonly encode: (pair: PemKeyPair) => Buffer | undefined;
}

/** DER is the block of `tls.key`, so PKCS#1 or PKCS#8 as that is; CombinedPEM is key, `\n`, chain. */
export const additionalFormats: Readonly<Record<AdditionalFormat, Encoding>> = {
  DER: {dataKey: secretKeys.der, encode: ({key}) => firstBlock(key)},
  CombinedPEM: {
    dataKey: secretKeys.combinedPem,
    encode: ({key, chain}) => Buffer.concat([key, Buffer.from('\n'), chain]),
  },
};

// Whether it is a key at all is asked elsewhere; here only its bytes count.
const block = /-----BEGIN ([A-Z0-9 ]{1,64})-----\r?\n([A-Za-z0-9+/=\s]{0,20000})-----END \1-----/u;

function firstBlock(pem: Buffer): Buffer | undefined {
  const found = block.exec(pem.toString('latin1'));
  return found?.[2] === undefined ? undefined : Buffer.from(found[2], 'base64');
}
