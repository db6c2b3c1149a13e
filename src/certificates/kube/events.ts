import {createHash, randomBytes} from 'node:crypto';
import {setTimeout as pause} from 'node:timers/promises';
import {isCoded, messageOf} from '#shared/errors';
import {ApiRefusedError} from '#shared/kube/errors';
import type {KubernetesObject, ObjectMetadata} from '#shared/kube/object';
import type {Log} from '#shared/log';
import type {ApiClient} from './client.ts';
import type {Clock} from './clock.ts';
import type {ResourceType} from './resource.ts';
import {createTokenBucket, type TokenBucket, type TokenBucketOptions} from './token-bucket.ts';

/** What an event says: one word, and one sentence for people. */
export interface EventText {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string; // e.g. `Issuing`
  readonly message: string;
  /** Who says it; default: the recorder's component. */
  readonly component?: string;
}

/** The object that an event is about. */
export interface EventSubject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMetadata;
}

export interface EventRecorderOptions {
  readonly client: Pick<ApiClient, 'create' | 'patch'>;
  /** e.g. `cert-manager-certificates-issuing` */
  readonly component: string;
  readonly clock: Clock;
  readonly log: Log;
  /** How many events may go out at once, and for long. */
  readonly pace?: TokenBucketOptions;
}

/** Tells people what happened to an object (core/v1 Event), behind the back of those who work. */
export interface EventRecorder extends AsyncDisposable {
  /** Never throws, never waits; what is too much is dropped. */
  record(subject: EventSubject, event: EventText): void;
  /** Resolves when all that was recorded before has been sent, or has failed. */
  flush(): Promise<void>;
}

/** An event that was told so lately is counted instead of told again (client-go: 10 minutes). */
const AGGREGATE_MS = 10 * 60_000;
/** Different events that are remembered, for counting. */
const REMEMBERED_MAX = 4_096;
/** Of each type; events of 700 certificates. Further ones are lost. */
const WAITING_MAX = 5_000;
/**
 * Events of 70 certificates go out at once. When thousands are issued, theirs would take the API
 * as many requests as the issuances themselves: they come later, and warnings before the others.
 */
const PACE = {burst: 500, perSecond: 25} as const;
/** New events about one object within the time of aggregation; client-go's burst. */
const PER_OBJECT_MAX = 25;
/** At the same time, so that events leave most connections to the work itself. */
const SENDERS = 4;
/** core/v1 allows 1,024 bytes. */
const MESSAGE_BYTES_MAX = 1_024;
/** An event is not worth more. */
const SEND_TIMEOUT_MS = 10_000;
/** Nor is the end of the program. */
const CLOSE_TIMEOUT_MS = 3_000;

/** core/v1 Event, the fields we write. */
interface EventObject extends KubernetesObject {
  readonly count?: number;
}

const events: ResourceType<EventObject> = {
  group: '',
  version: 'v1',
  kind: 'Event',
  plural: 'events',
  namespaced: true,
};

interface Waiting {
  readonly subject: EventSubject;
  readonly event: Required<EventText>;
  readonly at: Date;
}

interface Told {
  readonly name: string;
  /** Resolves when the API has it, or has refused it. */
  readonly created: Promise<unknown>;
  count: number;
  lastMs: number;
}

/** A recorder; disposing it sends what waits, for a few seconds. */
export function createEventRecorder(options: EventRecorderOptions): EventRecorder {
  const recorder = new Recorder(options);
  return {
    record: (subject, event) => {
      recorder.record(subject, event);
    },
    flush: () => recorder.flush(),
    [Symbol.asyncDispose]: () => recorder.close(),
  };
}

class Recorder {
  readonly #options: EventRecorderOptions;
  /** By type; warnings go out first. */
  readonly #waiting: Readonly<Record<EventText['type'], Waiting[]>> = {Warning: [], Normal: []};
  readonly #bucket: TokenBucket;
  readonly #told = new Map<string, Told>();
  readonly #perObject = new Map<string, {count: number; sinceMs: number}>();
  readonly #sending = new Set<Promise<void>>();
  readonly #closing = new AbortController();
  readonly #ending = new AbortController();
  #dropped = 0;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#bucket = createTokenBucket(options.pace ?? PACE);
  }

  record(subject: EventSubject, event: EventText): void {
    const {component, clock, log} = this.#options;
    const waiting = this.#waiting[event.type];
    if (waiting.length >= WAITING_MAX) {
      this.#dropped += 1;
      if (this.#dropped === 1) log.warn('events are dropped, too many wait', {most: WAITING_MAX});
      return;
    }
    const {metadata, apiVersion, kind} = subject;
    const {name, namespace, uid, resourceVersion} = metadata;
    // Only what the event needs: an object may be large, and wait long.
    const kept: EventSubject = {
      apiVersion,
      kind,
      metadata: {
        name,
        ...(namespace === undefined ? {} : {namespace}),
        ...(uid === undefined ? {} : {uid}),
        ...(resourceVersion === undefined ? {} : {resourceVersion}),
      },
    };
    const message = shorten(event.message);
    waiting.push({subject: kept, event: {component, ...event, message}, at: clock.now()});
    if (this.#sending.size < SENDERS) this.#startSender();
  }

  /** Sends what waits for a few seconds, and drops the rest. */
  async close(): Promise<void> {
    this.#closing.abort(new Error('the recorder closes'));
    const limit = setTimeout(() => {
      this.#ending.abort(new Error('the time for the last events is over'));
      this.#waiting.Warning.length = 0;
      this.#waiting.Normal.length = 0;
    }, CLOSE_TIMEOUT_MS);
    await this.flush();
    clearTimeout(limit);
  }

  async flush(): Promise<void> {
    while (this.#sending.size > 0) await Promise.all(this.#sending);
  }

  #startSender(): void {
    const sender = this.#sendAll().finally(() => {
      this.#sending.delete(sender);
    });
    this.#sending.add(sender);
  }

  async #sendAll(): Promise<void> {
    await Promise.resolve(); // recorded is not yet sent
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      await this.#turn();
      try {
        await this.#send(next);
      } catch (error) {
        const {kind, metadata} = next.subject;
        const code = isCoded(error) ? error.code : 'defect';
        const fields = {kind, name: metadata.name, reason: next.event.reason, code};
        this.#options.log.debug('event could not be sent', {...fields, error: messageOf(error)});
      }
    }
    if (this.#dropped > 0) {
      this.#options.log.warn('events were dropped', {count: this.#dropped});
      this.#dropped = 0;
    }
  }

  #next(): Waiting | undefined {
    return this.#waiting.Warning.shift() ?? this.#waiting.Normal.shift();
  }

  /** Resolves when one more may be sent; at once when the recorder closes. */
  async #turn(): Promise<void> {
    const waitMs = this.#bucket.take();
    if (waitMs <= 0) return;
    await pause(waitMs, undefined, {signal: this.#closing.signal}).catch(() => undefined);
  }

  async #send(waiting: Waiting): Promise<void> {
    const {client} = this.#options;
    const signal = AbortSignal.any([AbortSignal.timeout(SEND_TIMEOUT_MS), this.#ending.signal]);
    const identity = identityOf(waiting);
    const told = this.#told.get(identity);
    const atMs = waiting.at.getTime();
    const namespace = namespaceOf(waiting.subject);
    if (told !== undefined && atMs - told.lastMs < AGGREGATE_MS) {
      told.count += 1;
      told.lastMs = atMs;
      const patch = {
        count: told.count,
        lastTimestamp: seconds(waiting.at),
        message: waiting.event.message,
      };
      try {
        await told.created;
        await client.patch(events, {namespace, name: told.name}, patch, {signal});
        return;
      } catch (error) {
        // Events live for an hour, less where somebody cleans up: then it is told anew.
        if (!(error instanceof ApiRefusedError) || error.status !== 404) throw error;
      }
    }
    if (!this.#mayTell(waiting)) return;
    const name = `${waiting.subject.metadata.name}.${randomBytes(8).toString('hex')}`;
    const creating = client.create(events, eventObject(waiting, {namespace, name}), {signal});
    const created = creating.catch(() => undefined); // who counts on it learns of it by a 404
    this.#remember(identity, {name, created, count: 1, lastMs: atMs});
    await creating;
  }

  /** A condition that flaps fills the cluster's store with events about one object. */
  #mayTell({subject, at}: Waiting): boolean {
    const key = `${subject.kind}/${subject.metadata.uid ?? subject.metadata.name}`;
    const found = this.#perObject.get(key);
    const fresh = found === undefined || at.getTime() - found.sinceMs >= AGGREGATE_MS;
    const counted = fresh ? {count: 0, sinceMs: at.getTime()} : found;
    counted.count += 1;
    this.#perObject.delete(key);
    this.#perObject.set(key, counted);
    forgetOldest(this.#perObject, REMEMBERED_MAX);
    return counted.count <= PER_OBJECT_MAX;
  }

  #remember(identity: string, told: Told): void {
    this.#told.delete(identity);
    this.#told.set(identity, told);
    forgetOldest(this.#told, REMEMBERED_MAX);
  }
}

function forgetOldest(map: Map<string, unknown>, most: number): void {
  for (const key of map.keys()) {
    if (map.size <= most) return;
    map.delete(key);
  }
}

function identityOf({subject, event}: Waiting): string {
  const {uid, name, namespace} = subject.metadata;
  const parts = [subject.kind, uid ?? `${namespace}/${name}`, event.component, event.type];
  const hash = createHash('sha256').update(JSON.stringify([...parts, event.reason, event.message]));
  return hash.digest('base64');
}

/** Events about objects without namespace are kept in `default`, as client-go does. */
function namespaceOf({metadata}: EventSubject): string {
  return metadata.namespace ?? 'default';
}

function eventObject(
  {subject, event, at}: Waiting,
  metadata: {readonly namespace: string; readonly name: string},
): EventObject {
  const {apiVersion, kind} = subject;
  const {name, namespace, uid, resourceVersion} = subject.metadata;
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata,
    involvedObject: {apiVersion, kind, name, namespace, uid, resourceVersion},
    type: event.type,
    reason: event.reason,
    message: event.message,
    source: {component: event.component},
    reportingComponent: event.component,
    reportingInstance: '',
    firstTimestamp: seconds(at),
    lastTimestamp: seconds(at),
    count: 1,
  };
}

/** meta/v1 Time: RFC 3339 without parts of a second. */
function seconds(at: Date): string {
  return at.toISOString().replace(/\.\d+Z$/, 'Z');
}

function shorten(message: string): string {
  const bytes = Buffer.from(message);
  if (bytes.length <= MESSAGE_BYTES_MAX) return message;
  // Cutting a character in two leaves a replacement character of three bytes.
  return `${bytes
    .subarray(0, MESSAGE_BYTES_MAX - 8)
    .toString()
    .replace(/\uFFFD$/, '')}…`;
}
