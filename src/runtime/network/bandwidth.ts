import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';

/** What the capability `bandwidth` takes: bits per second, and bits at once. */
export interface Bandwidth {
  readonly ingressRate?: number;
  readonly ingressBurst?: number;
  readonly egressRate?: number;
  readonly egressBurst?: number;
}

const INGRESS = 'kubernetes.io/ingress-bandwidth';
const EGRESS = 'kubernetes.io/egress-bandwidth';
// Kubernetes, pkg/util/bandwidth: what a pod may ask for, in bits per second.
const RATE_MIN = 1e3;
const RATE_MAX = 1e15;
/** No limit of our own: the plugin refuses more than 32 bits. */
const BURST_BITS = 2 ** 31 - 1;

/**
 * The traffic limits of a pod, from its annotations.
 *
 * @returns `undefined` for a pod without limits
 * @throws CodedError `ERR_REQUEST_INVALID` for a value that is no quantity, or out of range
 */
export function podBandwidth(annotations: Readonly<Record<string, string>>): Bandwidth | undefined {
  const ingressRate = rate(annotations, INGRESS);
  const egressRate = rate(annotations, EGRESS);
  if (ingressRate === undefined && egressRate === undefined) return undefined;
  return {
    ...(ingressRate === undefined ? {} : {ingressRate, ingressBurst: BURST_BITS}),
    ...(egressRate === undefined ? {} : {egressRate, egressBurst: BURST_BITS}),
  };
}

function rate(annotations: Readonly<Record<string, string>>, name: string): number | undefined {
  const text = annotations[name];
  if (text === undefined) return undefined;
  const bitsPerSecond = parseQuantity(text);
  if (bitsPerSecond !== undefined && bitsPerSecond >= RATE_MIN && bitsPerSecond <= RATE_MAX) {
    return Math.ceil(bitsPerSecond);
  }
  throw new CodedError<RuntimeErrorCode>(
    'ERR_REQUEST_INVALID',
    `the annotation ${name} is ${JSON.stringify(text)}, not a quantity from 1k to 1P`,
    {hint: 'write bits per second as a Kubernetes quantity, e.g. 10M'},
  );
}

const SUFFIXES: Readonly<Record<string, number>> = {
  m: 1e-3, '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18,
  Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60,
}; // prettier-ignore

/** A Kubernetes quantity (`10M`, `1.5Gi`, `2e6`); exact enough for rates. */
function parseQuantity(text: string): number | undefined {
  const match = /^([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)([eE][+-]?\d+|[a-zA-Z]*)$/.exec(text);
  const [, digits = '', suffix = ''] = match ?? [];
  if (match === null) return undefined;
  if (/^[eE][+-]?\d/.test(suffix)) return Number(digits + suffix);
  const factor = SUFFIXES[suffix];
  return factor === undefined ? undefined : Number(digits) * factor;
}
