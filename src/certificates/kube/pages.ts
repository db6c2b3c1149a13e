import {CodedError} from '#shared/errors';
import {ApiRefusedError, ApiResponseTooLargeError} from '#shared/kube/errors';
import {isRecord} from '#shared/kube/json';
import type {KubernetesObject} from '#shared/kube/object';
import type {Requester} from '#shared/kube/request';
import {apiVersionOf, collectionPath, type ResourceType} from './resource.ts';

interface Selection {
  readonly signal: AbortSignal;
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Only `metadata` comes back (meta/v1 PartialObjectMetadata). */
  readonly metadataOnly?: boolean;
}

export interface PageOptions extends Selection {
  /** Objects per page at most; default 500. */
  readonly limit?: number;
}

export interface WatchLineOptions extends Selection {
  /** Where the list ended, or the last event. */
  readonly resourceVersion: string;
  /** After how long the API ends the watch by itself. */
  readonly timeoutSeconds: number;
}

/** A part of a collection; all pages of one list are of the same instant. */
export interface Page<T> {
  readonly items: readonly T[];
  /** Of the list, hence the same on every page: where a watch goes on. */
  readonly resourceVersion: string;
  /** Begins a list: what came before, if anything, is to be dropped. */
  readonly first: boolean;
}

/** As client-go has it: some MB of Secrets, some 10 ms of a parser. */
const PAGE_SIZE = 500;

/**
 * Anybody who may write objects of 1 MB can make a page of any size. What is longer is asked for
 * again in half; one object always fits.
 */
const PAGE_BYTES_MAX = 16 * 1024 * 1024;

/** Lists that expire (410) between two pages; after so many, the list is asked for as a whole. */
const RESTARTS_MAX = 2;

/**
 * Lists a collection page by page, each as large as can be read. When the API has forgotten the list
 * meanwhile (410: more than 5 minutes, or a compaction), it begins anew: see {@link Page.first}.
 *
 * @throws CodedError as every call of the API; ApiRefusedError 410 when it expires again and again,
 *   and is too large as a whole
 */
export async function* listPages<T extends KubernetesObject>(
  requester: Requester,
  resource: ResourceType<T>,
  options: PageOptions,
): AsyncIterable<Page<T>> {
  const {signal, limit: limitMax = PAGE_SIZE} = options;
  const attempt = `list ${resource.kind}`;
  let restarts = 0;
  /** Undefined: all at once. */
  let limit: number | undefined = limitMax;
  let isWholeTooLarge = false;
  let next = '';
  do {
    const query = selectionOf(options);
    if (limit !== undefined) query.set('limit', `${limit}`);
    if (next !== '') query.set('continue', next);
    const first = next === '';
    const path = `${collectionPath(resource, options.namespace)}?${query.toString()}`;
    const accept = acceptOf(options, 'PartialObjectMetadataList');
    let answer: unknown;
    try {
      const size = limit === undefined ? {} : {maxBytes: PAGE_BYTES_MAX};
      answer = await requester.json({method: 'GET', path, accept}, {signal, attempt, ...size});
    } catch (error) {
      if (error instanceof ApiResponseTooLargeError && limit !== 1) {
        isWholeTooLarge ||= limit === undefined;
        limit = limit === undefined ? limitMax : Math.ceil(limit / 2);
        continue;
      }
      if (first || !isExpired(error)) throw error;
      restarts += 1;
      next = '';
      if (restarts <= RESTARTS_MAX) continue;
      if (isWholeTooLarge) throw error;
      limit = undefined;
      continue;
    }
    // What was too large lay in one place: the rest is read as fast as before.
    if (limit !== undefined) limit = Math.min(limit * 2, limitMax);
    const list = parseList(answer, attempt);
    for (const item of list.items) complete(resource, item);
    yield {items: list.items as readonly T[], resourceVersion: list.resourceVersion, first};
    next = list.next;
    if (next === '') return;
  } while (!signal.aborted);
  throw signal.reason;
}

/**
 * Watches a collection from a version on, with bookmarks.
 *
 * @throws CodedError as every call of the API; a 410 here means that a list is due
 */
export function watchLines(
  requester: Requester,
  resource: ResourceType,
  options: WatchLineOptions,
): AsyncIterable<string> {
  const query = selectionOf(options);
  query.set('watch', 'true');
  query.set('allowWatchBookmarks', 'true');
  query.set('resourceVersion', options.resourceVersion);
  query.set('timeoutSeconds', `${options.timeoutSeconds}`);
  const path = `${collectionPath(resource, options.namespace)}?${query.toString()}`;
  const accept = acceptOf(options, 'PartialObjectMetadata');
  const attempt = `watch ${resource.kind}`;
  return requester.lines({method: 'GET', path, accept}, {signal: options.signal, attempt});
}

/** What was asked for is too old for the API: HTTP 410, reason Expired or Gone. */
export function isExpired(error: unknown): boolean {
  return error instanceof ApiRefusedError && error.status === 410;
}

function selectionOf({labelSelector, fieldSelector}: Selection): URLSearchParams {
  const query = new URLSearchParams();
  if (labelSelector !== undefined) query.set('labelSelector', labelSelector);
  if (fieldSelector !== undefined) query.set('fieldSelector', fieldSelector);
  return query;
}

function acceptOf({metadataOnly = false}: Selection, as: string): string {
  return metadataOnly ? `application/json;as=${as};g=meta.k8s.io;v=v1` : 'application/json';
}

interface ParsedList {
  readonly items: readonly KubernetesObject[];
  readonly resourceVersion: string;
  readonly next: string;
}

function parseList(answer: unknown, attempt: string): ParsedList {
  const {items, metadata} = isRecord(answer) ? answer : {};
  const {resourceVersion, continue: next} = isRecord(metadata) ? metadata : {};
  // An empty list of Go may be null.
  const list: readonly unknown[] = Array.isArray(items) ? items : [];
  if (typeof resourceVersion !== 'string' || !list.every(isObject)) {
    throw new CodedError('ERR_API_RESPONSE_INVALID', `${attempt}: the answer is not a list`, {
      hint: 'check that the address is a Kubernetes API and not a proxy or another service',
    });
  }
  return {items: list, resourceVersion, next: typeof next === 'string' ? next : ''};
}

/** Items of a list carry no type, those of a list of metadata another. */
function complete(resource: ResourceType, item: KubernetesObject): void {
  Object.assign(item, {apiVersion: apiVersionOf(resource), kind: resource.kind});
}

function isObject(value: unknown): value is KubernetesObject {
  return isRecord(value) && isRecord(value['metadata']);
}
