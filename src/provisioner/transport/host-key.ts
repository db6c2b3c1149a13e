import {createHash} from 'node:crypto';
import {CodedError} from '#shared/errors';
import type {ProvisionerErrorCode} from '../errors.ts';
import type {SshTarget} from './connection.ts';
import {isAbout, type KnownHost} from './known-hosts.ts';

/** A host's public key as it is sent: algorithm name and parameters (RFC 4253 §6.6). */
export interface HostKey {
  readonly type: string;
  readonly blob: Buffer;
}

export type HostKeyVerdict =
  | {readonly kind: 'trusted'}
  /** Nobody knows the host and new keys are welcome: pin it once the connection stands. */
  | {readonly kind: 'new'}
  | {readonly kind: 'refused'; readonly error: CodedError<ProvisionerErrorCode>};

export interface HostKeyPolicy {
  readonly target: SshTarget;
  readonly knownHosts: readonly KnownHost[];
  readonly acceptNew: boolean;
}

/** Decides on a key; the inventory's keys, if there are any, stand above known_hosts. */
export function judgeHostKey(key: HostKey, policy: HostKeyPolicy): HostKeyVerdict {
  const {target, acceptNew} = policy;
  const base64 = key.blob.toString('base64');
  const about = policy.knownHosts.filter(known => isAbout(known, target));
  if (about.some(known => known.marker === 'revoked' && known.key === base64)) {
    return refuse('ERR_HOST_KEY_REVOKED', key, policy);
  }
  if (target.hostKeys.length > 0) {
    const isExpected = target.hostKeys.some(expected => isSameKey(parseHostKey(expected), key));
    return isExpected ? {kind: 'trusted'} : refuse('ERR_HOST_KEY_MISMATCH', key, policy);
  }
  const plain = about.filter(known => known.marker === 'none');
  if (plain.some(known => known.key === base64)) return {kind: 'trusted'};
  if (plain.length > 0) return refuse('ERR_HOST_KEY_MISMATCH', key, policy);
  return acceptNew ? {kind: 'new'} : refuse('ERR_HOST_KEY_UNKNOWN', key, policy);
}

/** `ssh-ed25519 AAAA… comment` or `SHA256:…`, as `ssh-keyscan` and `ssh-keygen -l` print them. */
export type ExpectedHostKey =
  | {readonly kind: 'key'; readonly type: string; readonly base64: string}
  | {readonly kind: 'fingerprint'; readonly fingerprint: string};

/** @throws CodedError ERR_HOST_KEY_INVALID */
export function parseHostKey(text: string): ExpectedHostKey {
  const fingerprint = /^SHA256:[A-Za-z0-9+/]{43}=?$/.exec(text.trim())?.[0];
  if (fingerprint !== undefined) {
    return {kind: 'fingerprint', fingerprint: fingerprint.replace(/=$/, '')};
  }
  const [type, base64] = text.trim().split(/\s+/);
  if (
    type !== undefined &&
    base64 !== undefined &&
    typeOf(Buffer.from(base64, 'base64')) === type
  ) {
    return {kind: 'key', type, base64};
  }
  throw new CodedError<ProvisionerErrorCode>(
    'ERR_HOST_KEY_INVALID',
    `hostKeys: ${JSON.stringify(text)} is neither a public key nor a fingerprint`,
    {hint: 'write "ssh-ed25519 AAAA…" as ssh-keyscan prints it, or "SHA256:…"'},
  );
}

/** The fingerprint that OpenSSH prints. */
export const formatFingerprint = (blob: Buffer): string =>
  `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=$/, '')}`;

/** Reads a key's type from its blob: a length and that many bytes. */
export const typeOf = (blob: Buffer): string =>
  blob.length < 4 ? '' : blob.toString('latin1', 4, 4 + Math.min(blob.readUInt32BE(0), 64));

const HOST_KEY_ALGORITHMS = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'rsa-sha2-512',
  'rsa-sha2-256',
] as const; // not ssh-rsa: it signs with SHA-1

export type HostKeyAlgorithm = (typeof HOST_KEY_ALGORITHMS)[number];

/**
 * Signature algorithms in the order to offer: those of known keys first, so that a host with several
 * keys shows one that can be checked (it chooses by our order, RFC 4253 §7.1).
 */
export function orderAlgorithms(policy: Omit<HostKeyPolicy, 'acceptNew'>): HostKeyAlgorithm[] {
  const {target, knownHosts} = policy;
  const expected = target.hostKeys.map(parseHostKey);
  const types =
    expected.length > 0
      ? expected.flatMap(key => (key.kind === 'key' ? [key.type] : []))
      : knownHosts.flatMap(known =>
          known.marker === 'none' && isAbout(known, target) ? [known.type] : [],
        );
  const isKnown = (algorithm: HostKeyAlgorithm): boolean =>
    types.includes(algorithm.startsWith('rsa-') ? 'ssh-rsa' : algorithm);
  return [
    ...HOST_KEY_ALGORITHMS.filter(isKnown),
    ...HOST_KEY_ALGORITHMS.filter(algorithm => !isKnown(algorithm)),
  ];
}

function isSameKey(expected: ExpectedHostKey, {blob}: HostKey): boolean {
  return expected.kind === 'key'
    ? expected.base64 === blob.toString('base64')
    : expected.fingerprint === formatFingerprint(blob);
}

type Refusal = Extract<
  ProvisionerErrorCode,
  'ERR_HOST_KEY_REVOKED' | 'ERR_HOST_KEY_MISMATCH' | 'ERR_HOST_KEY_UNKNOWN'
>;

function refuse(code: Refusal, key: HostKey, policy: HostKeyPolicy): HostKeyVerdict {
  const {target, knownHosts} = policy;
  const {host, address, port} = target;
  const shown = `${host} (${address}:${port}) shows the ${key.type} host key ${formatFingerprint(key.blob)}`;
  const hasAuthority = knownHosts.some(
    known => known.marker === 'cert-authority' && isAbout(known, target),
  );
  const source = target.hostKeys.length > 0 ? 'hostKeys in the inventory' : 'known_hosts';
  const remark = hasAuthority ? '; the @cert-authority line for it is not used' : '';
  const explain = {
    ERR_HOST_KEY_REVOKED: {
      message: `${shown}, which known_hosts marks as revoked`,
      hint: 'give the host a new key; a revoked one may be in the hands of others',
    },
    ERR_HOST_KEY_MISMATCH: {
      message: `${shown}, but ${source} expects another`,
      hint: `find out why it changed; if the host was installed anew, replace its key in ${source}`,
    },
    ERR_HOST_KEY_UNKNOWN: {
      message: `${shown}, which nothing vouches for${remark}`,
      hint: 'compare it with "ssh-keygen -lf" on the host, then add it to hostKeys or run with --accept-new-host-keys',
    },
  }[code];
  return {
    kind: 'refused',
    error: new CodedError(code, explain.message, {hint: explain.hint}),
  };
}
