import {setTimeout as sleep} from 'node:timers/promises';
import {CodedError} from '../errors.ts';
import {isRecord, parseJsonRecord} from './json.ts';
import type {KubernetesObject} from './object.ts';
import type {Requester} from './request.ts';

export interface WatchOptions {
  readonly signal: AbortSignal;
  /** For messages: `watch Pod`. */
  readonly attempt: string;
  /** Path of the collection without query. */
  readonly path: string;
  /** Selectors, without watch's own parameters. */
  readonly query: URLSearchParams;
  /** The collection's type: items of a list do not carry it. */
  readonly apiVersion: string;
  readonly kind: string;
}

/** Below the 5 minutes of idle time after which middle boxes drop connections. */
const WATCH_SECONDS = 240;
/** Between a watch that broke and the next list. */
const RELIST_PAUSE_MS = 250;

/**
 * The present state of a collection, again after each change: list, watch from there, and list
 * anew when the watch ends, breaks or has become too old (410). Ends only by an error or by the
 * consumer.
 *
 * Level-triggered: changes that arrive together may give one state.
 *
 * @throws CodedError as the API's other calls; a broken watch alone is no error
 */
export async function* watchCollection(
  requester: Requester,
  options: WatchOptions,
): AsyncIterable<readonly KubernetesObject[]> {
  const {signal, attempt} = options;
  for (;;) {
    const {objects, resourceVersion} = await listCollection(requester, options);
    const state = new Map(objects.map(object => [keyOf(object), object]));
    yield [...state.values()];
    try {
      const path = watchPath(options, resourceVersion);
      for await (const line of requester.lines({method: 'GET', path}, {signal, attempt})) {
        const outcome = applyEvent(state, parseEvent(line));
        if (outcome === 'stale') break;
        if (outcome === 'changed') yield [...state.values()];
      }
    } catch (error) {
      // The list that follows reports the failure if it lasts.
      if (signal.aborted || !isBrokenWatch(error)) throw error;
    }
    await sleep(RELIST_PAUSE_MS, undefined, {signal}).catch(() => {
      throw signal.reason;
    });
  }
}

/** Lists a collection; the version is where a watch goes on. */
export async function listCollection(
  requester: Requester,
  {signal, attempt, path, query, apiVersion, kind}: WatchOptions,
): Promise<{
  readonly objects: readonly KubernetesObject[];
  readonly resourceVersion: string;
}> {
  const suffix = query.size === 0 ? '' : `?${query.toString()}`;
  const answer = await requester.json({method: 'GET', path: `${path}${suffix}`}, {signal, attempt});
  const {items, metadata} = isRecord(answer) ? answer : {};
  const resourceVersion = isRecord(metadata) ? metadata['resourceVersion'] : undefined;
  // An empty list of Go may be null.
  const list: readonly unknown[] = Array.isArray(items) ? items : [];
  if (typeof resourceVersion !== 'string' || !list.every(isObject)) {
    throw new CodedError('ERR_API_RESPONSE_INVALID', `${attempt}: the answer is not a list`, {
      hint: 'check that the address is a Kubernetes API and not a proxy or another service',
    });
  }
  return {objects: list.map(item => ({...item, apiVersion, kind})), resourceVersion};
}

/** One line of a watch: meta/v1 `WatchEvent`. */
export type WatchEvent =
  | {readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: KubernetesObject}
  | {readonly type: 'BOOKMARK'; readonly resourceVersion: string}
  /** `status` is that of the `Status` object, e.g. 410; 0 where the line has none. */
  | {readonly type: 'ERROR'; readonly status: number};

/** A line that is no event is taken for an ERROR: the next list puts things right. */
export function parseEvent(line: string): WatchEvent {
  const {type, object} = parseJsonRecord(line) ?? {};
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return isObject(object) ? {type, object} : {type: 'ERROR', status: 0};
    case 'BOOKMARK':
      return {type, resourceVersion: isObject(object) ? versionOf(object) : ''};
    default:
      return {type: 'ERROR', status: statusOf(object)};
  }
}

function versionOf({metadata}: KubernetesObject): string {
  return metadata.resourceVersion ?? '';
}

function statusOf(object: unknown): number {
  const code = isRecord(object) ? object['code'] : undefined;
  return typeof code === 'number' ? code : 0;
}

function applyEvent(
  state: Map<string, KubernetesObject>,
  event: WatchEvent,
): 'changed' | 'same' | 'stale' {
  switch (event.type) {
    case 'ADDED':
    case 'MODIFIED':
      state.set(keyOf(event.object), event.object);
      return 'changed';
    case 'DELETED':
      state.delete(keyOf(event.object));
      return 'changed';
    case 'BOOKMARK':
      return 'same';
    case 'ERROR':
      return 'stale';
    default:
      return event satisfies never;
  }
}

function watchPath({path, query}: WatchOptions, resourceVersion: string): string {
  const watching = new URLSearchParams(query);
  watching.set('watch', 'true');
  watching.set('allowWatchBookmarks', 'true');
  watching.set('resourceVersion', resourceVersion);
  watching.set('timeoutSeconds', `${WATCH_SECONDS}`);
  return `${path}?${watching.toString()}`;
}

function keyOf({metadata}: KubernetesObject): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}

function isBrokenWatch(error: unknown): boolean {
  if (!(error instanceof CodedError)) return false;
  if (error.code === 'ERR_API_UNREACHABLE') return true;
  return error.code === 'ERR_API_REFUSED' && 'status' in error && error.status === 410;
}

function isObject(value: unknown): value is KubernetesObject {
  return isRecord(value) && isRecord(value['metadata']);
}
