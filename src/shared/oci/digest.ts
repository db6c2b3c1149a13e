import {createHash} from 'node:crypto';
import {CodedError} from '../errors.ts';
import type {OciErrorCode} from './errors.ts';

/** `sha256:` and 64 lower-case hex digits; the one algorithm that registries in use agree on. */
export type Digest = `sha256:${string}`;

/** The digest of bytes. */
export function digestOfBytes(content: string | Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}

/** @throws CodedError ERR_IMAGE_REFERENCE_INVALID */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text;
  throw new CodedError<OciErrorCode>(
    'ERR_IMAGE_REFERENCE_INVALID',
    `not a digest: ${JSON.stringify(text.slice(0, 100))}`,
    {hint: 'write sha256: and 64 lower-case hexadecimal digits'},
  );
}

export function isDigest(text: string): text is Digest {
  return /^sha256:[0-9a-f]{64}$/.test(text);
}
