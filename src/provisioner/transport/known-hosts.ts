import {createHmac} from 'node:crypto';

/** One usable line of a known_hosts file. */
export interface KnownHost {
  readonly marker: 'none' | 'revoked' | 'cert-authority';
  /** The first field as written: a list of patterns, or one hash. */
  readonly names: string;
  readonly type: string;
  /** The key in base64, as in a public key file. */
  readonly key: string;
}

/**
 * Reads a known_hosts file; lines that are comments, empty or not understood are skipped.
 *
 * Source: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT.
 */
export function parseKnownHosts(text: string): readonly KnownHost[] {
  return text.split('\n').flatMap(line => parseLine(line.trim()) ?? []);
}

/** True if the line is about this address; a port other than 22 is part of the name. */
export function isAbout({names}: KnownHost, {address, port}: SshAddress): boolean {
  const name = formatName({address, port});
  if (names.startsWith('|')) return isHashOf(names, name);
  const patterns = names.split(',');
  const negated = patterns.filter(pattern => pattern.startsWith('!'));
  if (negated.some(pattern => matches(pattern.slice(1), name))) return false;
  return patterns.some(pattern => matches(pattern, name));
}

export interface SshAddress {
  readonly address: string;
  readonly port: number;
}

/** A line that pins a host's key. */
export const formatKnownHost = (at: SshAddress, type: string, key: string): string =>
  `${formatName(at)} ${type} ${key}\n`;

const formatName = ({address, port}: SshAddress): string =>
  port === 22 ? address.toLowerCase() : `[${address.toLowerCase()}]:${port}`;

function parseLine(line: string): KnownHost | undefined {
  if (line === '' || line.startsWith('#')) return undefined;
  const fields = line.split(/\s+/);
  const marker = line.startsWith('@') ? parseMarker(fields.shift()) : 'none';
  const [names, type, key] = fields;
  if (marker === undefined || names === undefined || type === undefined || key === undefined) {
    return undefined;
  }
  return {marker, names, type, key};
}

function parseMarker(field: string | undefined): KnownHost['marker'] | undefined {
  if (field === '@revoked') return 'revoked';
  return field === '@cert-authority' ? 'cert-authority' : undefined;
}

/** `|1|salt|HMAC-SHA1 of the name`, both in base64. */
function isHashOf(hash: string, name: string): boolean {
  const [, version, salt, digest] = hash.split('|');
  if (version !== '1' || salt === undefined || digest === undefined) return false;
  return createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest('base64') === digest;
}

function matches(pattern: string, name: string): boolean {
  const source = pattern
    .toLowerCase()
    .replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`)
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`).test(name);
}
