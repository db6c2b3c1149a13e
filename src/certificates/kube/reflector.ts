// One reflector per kind:
//
//   list pages ──▶ synced ──▶ watch ──ends──▶ watch from the last version seen
//       ▲                       │ 410, as an answer or as an event
//       └──────── back-off ◀────┘ anything else: back-off, then watch again
//
import {CodedError, isCoded, messageOf} from '#shared/errors';
import {ApiRefusedError} from '#shared/kube/errors';
import type {KubernetesObject} from '#shared/kube/object';
import {parseEvent} from '#shared/kube/watch';
import type {Log} from '#shared/log';
import {pause, type Clock} from './clock.ts';
import type {ApiClient} from './client.ts';
import {isExpired} from './pages.ts';
import {apiVersionOf, isNewer, keyOf, type ResourceType} from './resource.ts';
import type {View, ViewItem} from './view.ts';

export interface ReflectorOptions<O extends KubernetesObject, T extends ViewItem> {
  readonly client: Pick<ApiClient, 'pages' | 'watchLines'>;
  readonly resource: ResourceType<O>;
  /** Without it, all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  /** Objects have nothing but apiVersion, kind and metadata; default false. */
  readonly metadataOnly?: boolean;
  /** What is kept of an object, under its keyOf(); it must not hold on to the rest of it. */
  readonly transform: (object: O) => T;
  readonly view: View<T>;
  readonly log: Log;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** 0 ≤ x < 1; default Math.random. */
  readonly random?: () => number;
  /** How long a watch may be silent; the API sends bookmarks about once a minute. Default 150 s. */
  readonly idleMs?: number;
}

export interface Reflector extends AsyncDisposable {
  /** Resolves once the view has had everything; rejects if the reflector is stopped before. */
  readonly synced: Promise<void>;
  /** Lists and watches that failed one after the other; 0 while all is well. */
  readonly failuresInRow: number;
}

const IDLE_MS = 150_000;
/** Different for every watch, or all of them would be opened anew in the same second for ever. */
const WATCH_SECONDS = {least: 300, most: 600} as const;
/** The API is not down for long, and one who waits for a certificate counts seconds. */
const BACKOFF_MS = {first: 250, last: 10_000} as const;
/** A watch that lived so long was a good one, even if nothing happened. */
const GOOD_WATCH_MS = 5_000;
/** One broken watch is life; from this many on, the API is gone. */
const FAILURES_TO_WARN = 3;

/**
 * Keeps a view like the API: lists, watches, and begins again after whatever happens. Never ends
 * by itself.
 */
export function startReflector<O extends KubernetesObject, T extends ViewItem>(
  options: ReflectorOptions<O, T>,
): Reflector {
  const stopping = new AbortController();
  const signal = AbortSignal.any([options.signal, stopping.signal]);
  const synced = Promise.withResolvers<undefined>();
  synced.promise.catch(() => undefined); // nobody need wait for it
  const state: State = {version: undefined, newest: '', failuresInRow: 0};
  const ended = reflect({...options, signal}, state, () => {
    synced.resolve(undefined);
  }).finally(() => {
    synced.reject(signal.reason);
  });
  return {
    synced: synced.promise,
    get failuresInRow() {
      return state.failuresInRow;
    },
    async [Symbol.asyncDispose]() {
      stopping.abort(new Error(`the reflector of ${options.resource.kind} is stopped`));
      await ended;
    },
  };
}

interface State {
  /** Where the next watch goes on; undefined: list first. */
  version: string | undefined;
  /** The last version that was known before a list became necessary. */
  newest: string;
  failuresInRow: number;
}

async function reflect<O extends KubernetesObject, T extends ViewItem>(
  options: ReflectorOptions<O, T>,
  state: State,
  onSynced: () => void,
): Promise<void> {
  const {clock, signal, random = Math.random} = options;
  const aborted = (): boolean => signal.aborted;
  while (!aborted()) {
    try {
      state.version ??= await listAll(options, state);
      onSynced();
      // One that ends at once and tells nothing would else be opened again and again.
      if ((await watchOnce(options, state)) === 'useless') state.failuresInRow += 1;
    } catch (error) {
      if (aborted()) return;
      state.failuresInRow += 1;
      if (isExpired(error)) {
        state.newest = state.version ?? state.newest;
        state.version = undefined;
      }
      report(options, state, error);
    }
    if (state.failuresInRow === 0) continue;
    const waitMs = backoffMs(state.failuresInRow, random());
    await pause(clock, waitMs, {signal}).catch(() => undefined); // the loop sees the signal
  }
}

/** Doubling, between half and all of it at random: those who lost the API together come one by one. */
export function backoffMs(failuresInRow: number, random: number): number {
  const doubled = BACKOFF_MS.first * 2 ** Math.min(failuresInRow - 1, 16);
  return Math.min(doubled, BACKOFF_MS.last) * (0.5 + random / 2);
}

async function listAll<O extends KubernetesObject, T extends ViewItem>(
  options: ReflectorOptions<O, T>,
  {newest}: State,
): Promise<string> {
  const {client, resource, view, signal, log} = options;
  const seen = new Set<string>();
  let version = '';
  for await (const page of client.pages(resource, {...selectionOf(options), signal})) {
    if (page.first) seen.clear();
    if (version === '' && isNewer(newest, page.resourceVersion)) {
      // etcd was restored from a copy: what is there now is older than what we know.
      log.warn('the API is older than it was, everything is read anew', {kind: resource.kind});
      view.clear();
    }
    version = page.resourceVersion;
    for (const object of page.items) {
      seen.add(keyOf(object));
      observe(options, object);
    }
  }
  for (const {key} of [...view.values()]) {
    // What we wrote since the list is newer than the list, and stays.
    if (!seen.has(key)) view.forget(key, version);
  }
  return version;
}

async function watchOnce<O extends KubernetesObject, T extends ViewItem>(
  options: ReflectorOptions<O, T>,
  state: State,
): Promise<'useful' | 'useless'> {
  const {client, resource, clock, signal, random = Math.random} = options;
  let lines = 0;
  const openedAt = clock.now().getTime();
  using silence = limitSilence(options);
  const {least, most} = WATCH_SECONDS;
  const watched = client.watchLines(resource, {
    ...selectionOf(options),
    signal: AbortSignal.any([signal, silence.signal]),
    resourceVersion: state.version ?? '',
    timeoutSeconds: least + Math.floor(random() * (most - least)),
  });
  for await (const line of watched) {
    lines += 1;
    silence.broken();
    applyLine(options, state, line);
  }
  if (lines === 0 && clock.now().getTime() - openedAt < GOOD_WATCH_MS) return 'useless';
  recovered(options, state);
  return 'useful';
}

function applyLine<O extends KubernetesObject, T extends ViewItem>(
  options: ReflectorOptions<O, T>,
  state: State,
  line: string,
): void {
  const event = parseEvent(line);
  switch (event.type) {
    case 'ADDED':
    case 'MODIFIED':
      observe(options, withType(options.resource, event.object));
      state.version = event.object.metadata.resourceVersion ?? state.version;
      break;
    case 'DELETED':
      options.view.forget(keyOf(event.object), event.object.metadata.resourceVersion);
      state.version = event.object.metadata.resourceVersion ?? state.version;
      break;
    case 'BOOKMARK':
      if (event.resourceVersion !== '') state.version = event.resourceVersion;
      break;
    case 'ERROR':
      throw new ApiRefusedError(`watch ${options.resource.kind}`, {
        status: event.status,
        reason: event.status === 410 ? 'Expired' : '',
        message: 'the watch was ended by the API',
      });
    default:
      return event satisfies never;
  }
  recovered(options, state);
}

function observe<O extends KubernetesObject, T extends ViewItem>(
  {transform, view, log, resource}: ReflectorOptions<O, T>,
  object: O,
): void {
  let item: T;
  try {
    item = transform(object);
  } catch (error) {
    // One object that we cannot read must not hide all others.
    log.error('object could not be read', {
      kind: resource.kind,
      key: keyOf(object),
      error: messageOf(error),
    });
    return;
  }
  view.observe(item);
}

/** Aborts when nothing is heard for a while: a peer that died without a word (half-open TCP). */
function limitSilence({
  clock,
  idleMs = IDLE_MS,
  resource,
}: Pick<ReflectorOptions<KubernetesObject, ViewItem>, 'clock' | 'idleMs' | 'resource'>): {
  readonly signal: AbortSignal;
  readonly broken: () => void;
} & Disposable {
  const ending = new AbortController();
  let heardAt = clock.now().getTime();
  const check = (): void => {
    const dueAt = heardAt + idleMs;
    if (clock.now().getTime() < dueAt) {
      timer = clock.at(new Date(dueAt), check);
      return;
    }
    const message = `watch ${resource.kind}: nothing was heard for ${idleMs / 1_000} s`;
    const hint = 'look for a load balancer or firewall that drops idle connections';
    ending.abort(new CodedError('ERR_API_UNREACHABLE', message, {hint}));
  };
  let timer = clock.at(new Date(heardAt + idleMs), check);
  return {
    signal: ending.signal,
    broken: () => {
      heardAt = clock.now().getTime();
    },
    [Symbol.dispose]() {
      timer[Symbol.dispose]();
    },
  };
}

function recovered(
  {log, resource}: Pick<ReflectorOptions<KubernetesObject, ViewItem>, 'log' | 'resource'>,
  state: State,
): void {
  const failures = state.failuresInRow;
  state.failuresInRow = 0;
  if (failures >= FAILURES_TO_WARN) log.info('watch works again', {kind: resource.kind, failures});
}

function report(
  {log, resource}: Pick<ReflectorOptions<KubernetesObject, ViewItem>, 'log' | 'resource'>,
  {failuresInRow}: State,
  error: unknown,
): void {
  const fields = {kind: resource.kind, failuresInRow, error: messageOf(error)};
  if (!isCoded(error)) {
    log.error('watch failed by a defect of ours', {...fields, error});
    return;
  }
  const level = failuresInRow < FAILURES_TO_WARN ? 'debug' : 'warn';
  log[level]('watch failed', {...fields, code: error.code, hint: error.hint});
}

function selectionOf<O extends KubernetesObject, T extends ViewItem>({
  namespace,
  labelSelector,
  metadataOnly = false,
}: ReflectorOptions<O, T>): {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly metadataOnly: boolean;
} {
  return {
    ...(namespace === undefined ? {} : {namespace}),
    ...(labelSelector === undefined ? {} : {labelSelector}),
    metadataOnly,
  };
}

/** Of a watch of metadata, the type is PartialObjectMetadata. */
function withType<O extends KubernetesObject>(
  resource: ResourceType<O>,
  object: KubernetesObject,
): O {
  // The kind was asked for; the API keeps its schema.
  return {...object, apiVersion: apiVersionOf(resource), kind: resource.kind} as O;
}
