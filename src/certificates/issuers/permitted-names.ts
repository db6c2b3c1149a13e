import type {ParsedCertificate} from '../x509/certificate.ts';
import type {GeneralName} from '../x509/general-names.ts';
import {parseIpAddress, parseIpRange} from '../x509/ip-address.ts';
import type {NameConstraintItem} from '../x509/name-constraints.ts';

/**
 * Why no client would accept these names below this chain of CAs; undefined when some would.
 *
 * Name constraints are RFC 5280 §4.2.1.10. Where verifiers differ (a URI's or a mailbox's host:
 * Go takes subdomains, OpenSSL does not), the lenient one counts: a certificate that somebody
 * accepts is not ours to refuse.
 */
export function nameRefusal(
  chain: readonly ParsedCertificate[],
  names: readonly GeneralName[],
): string | undefined {
  for (const {nameConstraints} of chain) {
    if (nameConstraints === undefined) continue;
    for (const name of names) {
      const check = checkOf(name);
      if (check === undefined) continue;
      const {list, permits, excludes, text} = check;
      const excluded = nameConstraints.excluded?.[list]?.find(excludes);
      if (excluded !== undefined) {
        return `${text} lies in ${show(excluded)}, which the CA's name constraints exclude; leave it out, or use another issuer`;
      }
      const permitted = nameConstraints.permitted?.[list];
      if (permitted !== undefined && permitted.length > 0 && !permitted.some(permits)) {
        return `${text} is outside what the CA's name constraints permit (${permitted.map(show).join(', ')}); leave it out, or use another issuer`;
      }
    }
  }
  return undefined;
}

interface NameCheck {
  /** The list of constraints that speaks of this kind of name. */
  readonly list: keyof NameConstraintItem;
  readonly permits: (constraint: string) => boolean;
  readonly excludes: (constraint: string) => boolean;
  /** The name, for a message. */
  readonly text: string;
}

/** How a name is compared; undefined for kinds that constraints of ours do not speak of. */
function checkOf(name: GeneralName): NameCheck | undefined {
  switch (name.kind) {
    case 'dns': {
      const host = name.value.toLowerCase();
      return {
        list: 'dnsDomains',
        permits: domain => isBelow(host, domain),
        excludes: domain => isBelow(host, domain) || coversWildcard(host, domain),
        text: `the DNS name ${show(name.value)}`,
      };
    }
    case 'email': {
      const at = name.value.lastIndexOf('@');
      const host = name.value.slice(at + 1).toLowerCase();
      const mailbox = `${name.value.slice(0, at)}@${host}`;
      const isMailbox = (constraint: string): boolean => lowerHost(constraint) === mailbox;
      return {
        list: 'emailAddresses',
        permits: text => (text.includes('@') ? isMailbox(text) : isBelow(host, text)),
        excludes: text => (text.includes('@') ? isMailbox(text) : isExactly(host, text)),
        text: `the e-mail address ${show(name.value)}`,
      };
    }
    case 'uri': {
      const host = hostOf(name.value);
      return {
        list: 'uriDomains',
        permits: domain => host !== undefined && isBelow(host, domain),
        // A URI without a host has nothing that could be excluded, and every verifier refuses it.
        excludes: domain => host === undefined || isExactly(host, domain),
        text: `the URI ${show(name.value)}`,
      };
    }
    case 'ip': {
      const address = parseIpAddress(name.value);
      const isInside = (range: string): boolean => address !== undefined && isIn(address, range);
      return {
        list: 'ipRanges',
        permits: isInside,
        excludes: isInside,
        text: `the IP address ${name.value}`,
      };
    }
    default:
      return undefined;
  }
}

/** The host or one below it; a constraint with a leading dot means only those below. */
function isBelow(host: string, constraint: string): boolean {
  const domain = constraint.toLowerCase();
  if (domain === '') return true;
  if (domain.startsWith('.')) return host.endsWith(domain);
  return host === domain || host.endsWith(`.${domain}`);
}

/** As OpenSSL compares hosts of URIs and mailboxes. */
function isExactly(host: string, constraint: string): boolean {
  const domain = constraint.toLowerCase();
  return domain.startsWith('.') ? host.endsWith(domain) : host === domain;
}

/** `*.example.com` names everything that an exclusion of `a.example.com` excludes. */
function coversWildcard(host: string, constraint: string): boolean {
  if (!host.startsWith('*.')) return false;
  const domain = constraint.toLowerCase();
  return domain.slice(domain.indexOf('.')) === host.slice(1);
}

function lowerHost(mailbox: string): string {
  const at = mailbox.lastIndexOf('@');
  return `${mailbox.slice(0, at)}@${mailbox.slice(at + 1).toLowerCase()}`;
}

/** The host of a URI; undefined without one, and for an IP address (RFC 5280: never matches). */
function hostOf(uri: string): string | undefined {
  const {hostname = ''} = URL.parse(uri) ?? {};
  if (hostname === '' || parseIpAddress(hostname.replace(/^\[(.*)\]$/, '$1'))) return undefined;
  return hostname.toLowerCase();
}

function isIn(address: Buffer, rangeText: string): boolean {
  const range = parseIpRange(rangeText);
  if (range?.length !== address.length * 2) return false;
  return address.every((octet, i) => (octet & (range[address.length + i] ?? 0)) === range[i]);
}

/** What came from outside is quoted, and not longer than a line. */
function show(text: string): string {
  return JSON.stringify(text.slice(0, 253));
}
