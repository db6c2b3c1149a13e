/** The values that cluster.yaml and hosts.yaml are made of; every message begins with "expected". */
import {z} from 'zod';
import {IPV4_PATTERN, parseCidr, parseIpv4, specialUseOf} from './ipv4.ts';
import {parseQuantity, quantityRegexp} from './quantity.ts';

const LABEL = '[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?';
const DNS_NAME = `(?=.{1,253}$)${LABEL}(?:\\.${LABEL})*`;
const ADDRESS = `${IPV4_PATTERN}|(?![0-9.]+$)${DNS_NAME}`;
const QUALIFIED_NAME = '[A-Za-z0-9](?:[-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?';

/** RFC 1123 label, as Kubernetes wants it for names: lower case. */
export const dnsLabel = text(`^${LABEL}$`, 'a name of a-z, 0-9 and "-", at most 63 characters');

/** A host's name is its node's name and its hostname, which Linux limits to 64 bytes. */
export const hostName = text(
  `^(?=.{1,63}$)${DNS_NAME}$`,
  'a host name of a-z, 0-9, "-" and ".", at most 63 characters',
);

export const dnsName = text(`^${DNS_NAME}$`, 'a DNS name in lower case');

export const ipv4 = z
  .string({error: 'expected an IPv4 address'})
  .regex(new RegExp(`^(?:${IPV4_PATTERN})$`), {abort: true, error: 'expected an IPv4 address'})
  .refine(address => specialUseOf(parseIpv4(address) ?? 0) === undefined, {
    error: "expected a host's own IPv4 address, not a loopback, multicast or reserved one",
  });

/** A DNS name, or an IPv4 address; digits and dots alone are never taken for a name. */
export const address = text(`^(?:${ADDRESS})$`, 'an IPv4 address or a DNS name');

/** As in a certificate: like an address, and names may begin with `*.`. */
export const subjectAlternativeName = text(
  `^(?:${ADDRESS}|\\*\\.${DNS_NAME})$`,
  'an IPv4 address or a DNS name, which may begin with "*."',
);

export const port = z
  .int({error: 'expected a port from 1 to 65535'})
  .min(1, {error: 'expected a port from 1 to 65535'})
  .max(65535, {error: 'expected a port from 1 to 65535'});

/** @param prefix lengths that make sense; their reason belongs to the caller */
export function cidr(prefix: {readonly min: number; readonly max: number}): z.ZodString {
  const expected = `expected an IPv4 network such as 10.244.0.0/16, with a prefix length from ${prefix.min} to ${prefix.max} and no host bits`;
  return z
    .string({error: expected})
    .regex(new RegExp(`^(?:${IPV4_PATTERN})/[0-9]{1,2}$`), {abort: true, error: expected})
    .refine(
      value => {
        const block = parseCidr(value);
        if (block?.text !== value) return false;
        return prefix.min <= block.prefixLength && block.prefixLength <= prefix.max;
      },
      {error: expected},
    );
}

export const quantity = z
  .string({error: 'expected an amount of memory such as 1700Mi'})
  .regex(quantityRegexp, {abort: true, error: 'expected an amount of memory such as 1700Mi'})
  .refine(value => parseQuantity(value) !== undefined, {
    error: 'expected an amount of memory below 2^53 bytes',
  });

/** Without user name or password (they would end in logs), query and fragment. */
export const httpUrl = z
  .string({error: 'expected a URL such as http://10.0.0.2/debian'})
  .regex(/^https?:\/\/[^\s@?#]+$/, {
    abort: true,
    error: 'expected an http or https URL without credentials',
  })
  .refine(value => URL.canParse(value), {error: 'expected an http or https URL'});

/** Scheme, host and port of a registry; image names follow it. */
export const registryUrl = z
  .string({error: 'expected a URL such as http://10.0.0.2:5000'})
  .regex(/^https?:\/\/[^\s@?#/]+\/?$/, {
    abort: true,
    error: 'expected a URL of scheme, host and port only, such as http://10.0.0.2:5000',
  })
  .refine(value => URL.canParse(value), {error: 'expected a URL such as http://10.0.0.2:5000'});

/** A path of the operator's machine; relative ones start at the file that names them. */
export const path = text('^(?!.*PRIVATE KEY)[^\\u0000-\\u001f]{1,4096}$', 'a path of one line');

/** Name of an issuer: with what is appended to it, it must still be a name. */
export const issuerName = text(
  `^(?=.{1,63}$)${DNS_NAME}$`,
  'a name of a-z, 0-9, "-" and ".", at most 63 characters',
);

export const environmentName = text(
  '^[A-Za-z_][A-Za-z0-9_]{0,127}$',
  'the name of an environment variable',
);

/** Go's duration in whole hours; a CA that lives for less than a day is a mistake. */
export const hours = text(
  '^(?:2[4-9]|[3-9][0-9]|[1-9][0-9]{2,6})h$',
  'a number of hours from 24h to 9999999h, such as 87600h',
);

/** The container runtimes that there are roles for. */
export const runtimeName = z.enum(['slipway', 'containerd']);

export const userName = text('^[a-z_][-a-z0-9_]{0,31}$', 'a user name');

/** One line of a known_hosts or .pub file without host names, or a fingerprint of one. */
export const hostKey = text(
  '^(?:(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) AAAA[A-Za-z0-9+/]+=*(?: .*)?|SHA256:[A-Za-z0-9+/]{43})$',
  'a public host key such as "ssh-ed25519 AAAA…", or its fingerprint "SHA256:…"',
);

/** A key of labels and taints: name, or DNS prefix and name. */
export const labelKey = text(
  `^(?:${DNS_NAME.replace('$', '/')}/)?${QUALIFIED_NAME}$`,
  'a label key such as example.com/zone',
);

export const labelValue = text(
  `^(?:${QUALIFIED_NAME})?$`,
  'a label value of at most 63 letters, digits, "-", "_" and "."',
);

/** A text that matches a pattern. */
export function text(pattern: string, expectation: string): z.ZodString {
  const error = `expected ${expectation}`;
  return z.string({error}).regex(new RegExp(pattern), {abort: true, error});
}
