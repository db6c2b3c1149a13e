import {CodedError} from '../errors.ts';
import {ApiRefusedError} from './errors.ts';
import {isRecord} from './json.ts';
import type {ObjectKind} from './object.ts';
import type {Requester} from './request.ts';

/** How the API spells a kind in its paths. */
interface Resource {
  readonly plural: string;
  readonly namespaced: boolean;
}

/** Turns kinds into paths by asking the API once per group version (discovery). */
export interface Resources {
  /**
   * Path of a collection, or of one object when a name is given.
   *
   * @throws CodedError ERR_API_REFUSED (status 404) for a kind that this API does not have
   */
  pathOf(kind: ObjectKind, place: Place, options: {readonly signal: AbortSignal}): Promise<string>;
}

export interface Place {
  readonly namespace?: string | undefined;
  readonly name?: string;
}

export function createResources(requester: Requester): Resources {
  const known = new Map<string, Promise<ReadonlyMap<string, Resource>>>();

  const discover = (
    apiVersion: string,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, Resource>> => {
    const found = known.get(apiVersion);
    if (found !== undefined) return found;
    const asked = requester
      .json({method: 'GET', path: rootOf(apiVersion)}, {signal, attempt: `discover ${apiVersion}`})
      .then(answer => parseResourceList(answer, apiVersion));
    known.set(apiVersion, asked);
    // A failure is not remembered: the next call asks again. The caller gets it from `asked`.
    asked.catch(() => known.delete(apiVersion));
    return asked;
  };

  return {
    async pathOf({apiVersion, kind}, place, {signal}) {
      let resource = (await discover(apiVersion, signal)).get(kind);
      if (resource === undefined) {
        known.delete(apiVersion); // a CRD may have come since
        resource = (await discover(apiVersion, signal)).get(kind);
      }
      if (resource === undefined) {
        const message = `the API has no kind ${kind} in ${apiVersion}`;
        throw new ApiRefusedError('discovery', {status: 404, reason: 'NotFound', message});
      }
      return formatPath(apiVersion, resource, place);
    },
  };
}

/** `/apis/apps/v1/namespaces/NS/deployments/NAME`; the namespace is left out where it has none. */
export function formatPath(apiVersion: string, resource: Resource, place: Place): string {
  const {plural, namespaced} = resource;
  const scope =
    namespaced && place.namespace !== undefined
      ? `/namespaces/${encodeURIComponent(place.namespace)}`
      : '';
  const name = place.name === undefined ? '' : `/${encodeURIComponent(place.name)}`;
  return `${rootOf(apiVersion)}${scope}/${plural}${name}`;
}

function rootOf(apiVersion: string): string {
  return apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
}

/** Reads an `APIResourceList`; subresources such as `pods/log` are left out. */
export function parseResourceList(
  answer: unknown,
  apiVersion: string,
): ReadonlyMap<string, Resource> {
  const list = isRecord(answer) ? answer['resources'] : undefined;
  if (!Array.isArray(list)) {
    const message = `discover ${apiVersion}: the answer has no list of resources`;
    throw new CodedError('ERR_API_RESPONSE_INVALID', message, {
      hint: 'check that the address is a Kubernetes API and not a proxy or another service',
    });
  }
  const resources = new Map<string, Resource>();
  for (const entry of list as readonly unknown[]) {
    if (!isRecord(entry)) continue;
    const {name, kind, namespaced} = entry;
    if (typeof name !== 'string' || typeof kind !== 'string' || name.includes('/')) continue;
    resources.set(kind, {plural: name, namespaced: namespaced === true});
  }
  return resources;
}
