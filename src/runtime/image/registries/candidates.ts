import {CodedError} from '#shared/errors';
import {formatReference, type ImageReference, parseReference} from '#shared/oci/reference';
import type {RuntimeErrorCode} from '../../errors.ts';
import {ANY_REGISTRY, type RegistriesConf, type RegistryRule} from './registries-conf.ts';

/** One place to ask for an image, under the name that the image has there. */
export interface Candidate {
  readonly reference: ImageReference;
  readonly insecure: boolean;
  /** A mirror is a stranger to whom the pod's own credentials are not shown. */
  readonly isMirror: boolean;
}

/**
 * Where to ask for an image, in this order: the mirrors of the rule with the longest prefix, then
 * its location; without a rule, the registry in the name. Never empty.
 *
 * @throws CodedError ERR_REGISTRY_BLOCKED, ERR_IMAGE_REFERENCE_INVALID (a location makes no name)
 */
export function candidatesFor(
  reference: ImageReference,
  {rules}: RegistriesConf,
): readonly Candidate[] {
  const name = formatReference(reference);
  const matched = longestMatch(name, rules);
  if (matched === undefined) return [{reference, insecure: false, isMirror: false}];
  const {rule, length} = matched;
  if (rule.blocked) {
    throw blocked(`${name}: registry "${rule.prefix}" is blocked by registries.conf`);
  }
  const rest = name.slice(length);
  const wanted = reference.digest === undefined ? 'tag-only' : 'digest-only';
  const mirrors = rule.mirrors.filter(({pullFrom}) => pullFrom === 'all' || pullFrom === wanted);
  const candidates = mirrors.map(({location, insecure}) => ({
    reference: parseReference(`${location}${rest}`),
    insecure,
    isMirror: true,
  }));
  const own = rule.location === undefined ? reference : parseReference(`${rule.location}${rest}`);
  const isMirrorOnly = rule.prefix === ANY_REGISTRY && rule.location === undefined;
  if (!isMirrorOnly)
    return [...candidates, {reference: own, insecure: rule.insecure, isMirror: false}];
  if (candidates.length > 0) return candidates;
  throw blocked(`${name}: no mirror of registries.conf is for such names`);
}

function longestMatch(
  name: string,
  rules: readonly RegistryRule[],
): {readonly rule: RegistryRule; readonly length: number} | undefined {
  let longest: {readonly rule: RegistryRule; readonly length: number} | undefined;
  for (const rule of rules) {
    const length = matchLength(name, rule.prefix);
    if (length !== undefined && length > (longest?.length ?? 0)) longest = {rule, length};
  }
  const any = rules.find(({prefix}) => prefix === ANY_REGISTRY);
  if (longest === undefined && any !== undefined) return {rule: any, length: name.indexOf('/')};
  return longest;
}

/** How many characters of the name a prefix stands for, if it is one. */
function matchLength(name: string, prefix: string): number | undefined {
  const length = prefix.startsWith('*.') ? wildcardLength(name, prefix.slice(1)) : prefix.length;
  if (length === undefined) return undefined;
  if (!prefix.startsWith('*.') && !name.startsWith(prefix)) return undefined;
  const next = name[length];
  // After a bare host a colon starts the port of another registry, not a tag.
  const borders = name.slice(0, length).includes('/') ? ['/', ':', '@'] : ['/'];
  return next === undefined || borders.includes(next) ? length : undefined;
}

/** `.example.com/a` in `x.y.example.com/a/b`: what is before it must be part of the host. */
function wildcardLength(name: string, suffix: string): number | undefined {
  const at = name.indexOf(suffix);
  return at < 1 || name.slice(0, at).includes('/') ? undefined : at + suffix.length;
}

function blocked(message: string): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_REGISTRY_BLOCKED', message, {
    hint: 'use an image of another registry, or change registries.conf',
  });
}
