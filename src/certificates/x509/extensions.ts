import {CodedError} from '#shared/errors';
import {nearest} from '#shared/nearest';
import type {CertificatesErrorCode} from '../errors.ts';
import {isObjectIdentifier} from './object-identifier.ts';

/** Bits of KeyUsage by number (RFC 5280 §4.2.1.3), in cert-manager's words. */
const keyUsageWords = [
  'digital signature',
  'content commitment',
  'key encipherment',
  'data encipherment',
  'key agreement',
  'cert sign',
  'crl sign',
  'encipher only',
  'decipher only',
] as const;

/** Purposes of ExtendedKeyUsage (RFC 5280 §4.2.1.12), in cert-manager's words. */
const extendedKeyUsageOids = {
  any: '2.5.29.37.0',
  'server auth': '1.3.6.1.5.5.7.3.1',
  'client auth': '1.3.6.1.5.5.7.3.2',
  'code signing': '1.3.6.1.5.5.7.3.3',
  'email protection': '1.3.6.1.5.5.7.3.4',
  's/mime': '1.3.6.1.5.5.7.3.4',
  'ipsec end system': '1.3.6.1.5.5.7.3.5',
  'ipsec tunnel': '1.3.6.1.5.5.7.3.6',
  'ipsec user': '1.3.6.1.5.5.7.3.7',
  timestamping: '1.3.6.1.5.5.7.3.8',
  'ocsp signing': '1.3.6.1.5.5.7.3.9',
  'microsoft sgc': '1.3.6.1.4.1.311.10.3.3',
  'netscape sgc': '2.16.840.1.113730.4.1',
} as const;

type KeyUsageWord = (typeof keyUsageWords)[number];
type ExtendedKeyUsageWord = keyof typeof extendedKeyUsageOids;

/** Usages of a certificate, in the two forms in which X.509 has them; sorted, without repeats. */
export interface UsageBits {
  /** Words of KeyUsage's bits, in the order of the bits. */
  readonly keyUsages: readonly KeyUsageWord[];
  /** Object identifiers of ExtendedKeyUsage, in the order in which they were given. */
  readonly extendedKeyUsages: readonly string[];
}

/**
 * What cert-manager asks for: the usages named, else digital signature and key encipherment;
 * and cert sign for a CA.
 */
export function effectiveUsages(
  usages: readonly string[] | undefined,
  isCa: boolean,
): readonly string[] {
  const named = usages && usages.length > 0 ? usages : ['digital signature', 'key encipherment'];
  return isCa && !named.includes('cert sign') ? [...named, 'cert sign'] : named;
}

/**
 * Sorts cert-manager's usage words (`signing` is `digital signature`) and dotted identifiers of
 * other purposes into the two extensions.
 *
 * @throws CodedError `ERR_REQUEST_INVALID` for a word that is none
 */
export function usageBits(usages: readonly string[]): UsageBits {
  const keyUsages = new Set<string>();
  const extendedKeyUsages = new Set<string>();
  for (const word of usages) {
    if (word === 'signing') keyUsages.add('digital signature');
    else if (isKeyUsage(word)) keyUsages.add(word);
    else if (isExtendedKeyUsage(word)) extendedKeyUsages.add(extendedKeyUsageOids[word]);
    else if (isObjectIdentifier(word)) extendedKeyUsages.add(word);
    else throw usageUnknown(word);
  }
  return {
    keyUsages: keyUsageWords.filter(word => keyUsages.has(word)),
    extendedKeyUsages: [...extendedKeyUsages],
  };
}

/** The way back: one word each; of two words for one thing the first; unknown purposes stay dotted. */
export function usageWords({keyUsages, extendedKeyUsages}: UsageBits): readonly string[] {
  const words = Object.entries(extendedKeyUsageOids);
  return [
    ...keyUsages,
    ...extendedKeyUsages.map(oid => words.find(([, known]) => known === oid)?.[0] ?? oid),
  ];
}

/** The number that the schema library encodes: bit 0 is the lowest. */
export function keyUsageFlags(words: readonly KeyUsageWord[]): number {
  return words.reduce((flags, word) => flags | (1 << keyUsageWords.indexOf(word)), 0);
}

/** The words of bits that are set; bits beyond the ninth mean nothing and are passed over. */
export function keyUsagesOfBits(bits: readonly number[]): readonly KeyUsageWord[] {
  return keyUsageWords.filter((_, bit) => bits.includes(bit));
}

function isKeyUsage(word: string): word is KeyUsageWord {
  return (keyUsageWords as readonly string[]).includes(word);
}

function isExtendedKeyUsage(word: string): word is ExtendedKeyUsageWord {
  return Object.hasOwn(extendedKeyUsageOids, word);
}

function usageUnknown(word: string): CodedError<CertificatesErrorCode> {
  const words = ['signing', ...keyUsageWords, ...Object.keys(extendedKeyUsageOids)];
  const near = nearest(word, words);
  return new CodedError(
    'ERR_REQUEST_INVALID',
    `${JSON.stringify(word.slice(0, 100))} is not a usage`,
    {
      hint: near === undefined ? `use one of ${words.join(', ')}` : `did you mean ${near}?`,
    },
  );
}
