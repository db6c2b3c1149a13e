import type {Clock} from '../../kube/clock.ts';

/** Counts what happens to a key, and says when it has happened too often. */
export interface Pace {
  note(key: string): void;
  /** Until when to hold back; nothing when there is no need. */
  heldUntil(key: string): Date | undefined;
}

export interface PaceOptions {
  readonly clock: Pick<Clock, 'now'>;
  /** So many times within the window are fine. */
  readonly times: number;
  readonly windowMs: number;
}

/** More keys than Certificates that can be at work at once; the oldest go first. */
const KEYS_MAX = 10_000;

/**
 * A limit for what somebody else can make us do again and again. It is kept in memory: a new
 * controller counts anew, and starts slowly enough by itself.
 */
export function createPace({clock, times, windowMs}: PaceOptions): Pace {
  const happened = new Map<string, readonly number[]>();
  const recent = (key: string): readonly number[] => {
    const sinceMs = clock.now().getTime() - windowMs;
    return (happened.get(key) ?? []).filter(atMs => atMs > sinceMs);
  };
  return {
    note(key) {
      const instants = [...recent(key), clock.now().getTime()].slice(-times);
      happened.delete(key); // so that it becomes the youngest
      happened.set(key, instants);
      for (const oldest of happened.keys()) {
        if (happened.size <= KEYS_MAX) break;
        happened.delete(oldest);
      }
    },
    heldUntil(key) {
      const instants = recent(key);
      const [first] = instants;
      if (first === undefined || instants.length < times) return undefined;
      return new Date(first + windowMs);
    },
  };
}
