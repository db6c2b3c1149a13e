import {isCoded} from '#shared/errors';
import type {ObjectName} from '../kube/resource.ts';
import {parseSigningRequest, type SigningRequest} from '../x509/certificate-request.ts';
import {effectiveUsages, usageBits, type UsageBits} from '../x509/extensions.ts';
import type {SigningInput} from './issuer-type.ts';

/** What a request object says, of either kind. */
export interface RequestTerms {
  /** base64 of PEM. */
  readonly request: string;
  readonly durationMs: number;
  readonly isCa: boolean;
  /** cert-manager's words; none means the default ones. */
  readonly usages: readonly string[] | undefined;
  readonly privateKeySecret?: ObjectName;
}

export type ReadInput =
  | {readonly kind: 'valid'; readonly input: SigningInput}
  /** No issuer will ever sign it. */
  | {readonly kind: 'invalid'; readonly message: string};

/**
 * Reads the CSR of a request, and compares it with what the request says beside it: there is no
 * webhook that could have refused it when it was made.
 */
export function readSigningInput(terms: RequestTerms): ReadInput {
  const csr = parseCsr(terms.request);
  if (typeof csr === 'string') return {kind: 'invalid', message: csr};
  const usages = effectiveUsages(terms.usages, terms.isCa);
  const message = usageProblem(csr, usages) ?? caProblem(csr, terms.isCa);
  if (message !== undefined) return {kind: 'invalid', message};
  const {durationMs, isCa, privateKeySecret} = terms;
  return {
    kind: 'valid',
    input: {
      csr,
      durationMs,
      isCa,
      usages,
      ...(privateKeySecret === undefined ? {} : {privateKeySecret}),
    },
  };
}

/** The CSR, or what is wrong with it. */
function parseCsr(request: string): SigningRequest | string {
  try {
    const csr = parseSigningRequest(Buffer.from(request, 'base64').toString('utf8'));
    if (csr.signatureIsValid()) return csr;
    return 'spec.request: the signature of the CSR does not fit its public key; make the CSR again with the private key that belongs to it';
  } catch (error) {
    if (!isCoded(error)) throw error;
    return `spec.request is no CSR that can be read: ${error.message}; ${error.hint}`;
  }
}

/** Each of the two extensions must agree where the CSR has it. */
function usageProblem(csr: SigningRequest, wanted: readonly string[]): string | undefined {
  const wants = bitsOrProblem(wanted);
  if (typeof wants === 'string') return wants;
  if (csr.usages === undefined) return undefined;
  const has = usageBits(csr.usages);
  const differs = (some: readonly string[], others: readonly string[]): boolean =>
    some.length > 0 && !sameMembers(some, others);
  const disagrees =
    differs(has.keyUsages, wants.keyUsages) ||
    differs(has.extendedKeyUsages, wants.extendedKeyUsages);
  if (!disagrees) return undefined;
  return `the CSR asks for the usages ${list(csr.usages)}, spec.usages for ${list(wanted)}; make them the same, or leave the usages out of the CSR`;
}

function bitsOrProblem(words: readonly string[]): UsageBits | string {
  try {
    return usageBits(words);
  } catch (error) {
    if (!isCoded(error)) throw error;
    return `spec.usages: ${error.message}; ${error.hint}`;
  }
}

function caProblem({isCa}: SigningRequest, wanted: boolean): string | undefined {
  if (isCa === undefined || isCa === wanted) return undefined;
  return `the basic constraints of the CSR say CA:${isCa ? 'TRUE' : 'FALSE'}, spec.isCA says ${String(wanted)}; make them the same, or leave them out of the CSR`;
}

function sameMembers(some: readonly string[], others: readonly string[]): boolean {
  const set = new Set(some);
  return set.size === new Set(others).size && others.every(member => set.has(member));
}

/** Enough to see what is wrong; a CSR may hold thousands. */
const SHOWN_MAX = 12;

function list(words: readonly string[]): string {
  const shown = words.slice(0, SHOWN_MAX).map(word => JSON.stringify(word));
  return [...shown, ...(words.length > SHOWN_MAX ? ['…'] : [])].join(', ');
}
