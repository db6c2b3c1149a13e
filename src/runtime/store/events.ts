import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';

/** CRI `ContainerEventType`, for containers and for sandboxes. */
export type LifecycleEventKind = 'created' | 'started' | 'stopped' | 'deleted';

/** A subscriber this far behind is cut off: it has to list everything anew anyway. */
export const EVENTS_BEHIND_MAX = 1_000;

interface Subscriber<Event> {
  readonly pending: Event[];
  wake: () => void;
  tooSlow: boolean;
}

/** Hands every event to every subscriber, in order, and never loses one silently. */
export class EventStream<Event> {
  readonly #subscribers = new Set<Subscriber<Event>>();

  /** Without subscribers nothing is built: an event holds the state of a whole pod. */
  emit(build: () => Event | undefined): void {
    if (this.#subscribers.size === 0) return;
    const event = build();
    if (event === undefined) return;
    for (const subscriber of this.#subscribers) {
      if (subscriber.pending.length >= EVENTS_BEHIND_MAX) subscriber.tooSlow = true;
      else subscriber.pending.push(event);
      subscriber.wake();
    }
  }

  /**
   * All events from now on, until `signal` aborts.
   *
   * @throws CodedError `ERR_SUBSCRIBER_TOO_SLOW` when {@link EVENTS_BEHIND_MAX} events wait
   */
  async *subscribe(signal: AbortSignal): AsyncGenerator<Event, void, void> {
    const subscriber: Subscriber<Event> = {pending: [], wake: () => undefined, tooSlow: false};
    const abort = () => {
      subscriber.wake();
    };
    this.#subscribers.add(subscriber);
    signal.addEventListener('abort', abort);
    try {
      while (!signal.aborted) {
        if (subscriber.tooSlow) throw tooSlow();
        const event = subscriber.pending.shift();
        if (event === undefined) await nextWake(subscriber, signal);
        else yield event;
      }
    } finally {
      signal.removeEventListener('abort', abort);
      this.#subscribers.delete(subscriber);
    }
  }
}

async function nextWake<Event>(subscriber: Subscriber<Event>, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>(resolve => {
    subscriber.wake = resolve;
  });
}

function tooSlow(): CodedError<RuntimeErrorCode> {
  return new CodedError(
    'ERR_SUBSCRIBER_TOO_SLOW',
    `${EVENTS_BEHIND_MAX} events were not read by the subscriber`,
    {hint: 'list pods and containers anew, then subscribe again'},
  );
}
