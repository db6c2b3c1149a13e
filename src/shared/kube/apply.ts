import {stableJson} from '../digest.ts';
import {FIELD_MANAGER, type Applied, type ApplyOptions} from './kubernetes-api.ts';
import type {KubernetesObject} from './object.ts';
import type {HttpRequest} from './transport.ts';

/** The request of a server-side apply (`application/apply-patch+yaml`; JSON is YAML). */
export function applyRequest(
  path: string,
  object: KubernetesObject,
  {fieldManager = FIELD_MANAGER, force = true, dryRun = false}: Omit<ApplyOptions, 'signal'>,
): HttpRequest {
  const query = new URLSearchParams({fieldManager, force: `${force}`});
  if (dryRun) query.set('dryRun', 'All');
  return {
    method: 'PATCH',
    path: `${path}?${query.toString()}`,
    body: {contentType: 'application/apply-patch+yaml', text: JSON.stringify(object)},
  };
}

/**
 * Whether an apply changed what the object asks for. Not by resourceVersion: a dry run does not
 * tell it, and a controller may write the status between our reading and our applying.
 */
export function changeBetween(
  before: KubernetesObject | undefined,
  after: KubernetesObject,
): Applied['change'] {
  if (before === undefined) return 'created';
  return stableJson(withoutBookkeeping(before)) === stableJson(withoutBookkeeping(after))
    ? 'unchanged'
    : 'changed';
}

/** What an object asks for: no status, and no metadata that only the API writes. */
export function withoutBookkeeping(object: KubernetesObject): KubernetesObject {
  const {status: _status, metadata, ...rest} = object;
  const kept = Object.entries(metadata).filter(([key]) => !BOOKKEEPING.has(key));
  return {...rest, metadata: {...Object.fromEntries(kept), name: metadata.name}};
}

const BOOKKEEPING = new Set([
  'creationTimestamp',
  'generation',
  'managedFields',
  'resourceVersion',
  'selfLink',
  'uid',
]);
