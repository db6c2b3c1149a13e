import type {Page} from '#shared/serve-pages';

/** What the controller is doing. */
export type Phase =
  /** Nothing was asked of the API yet. */
  | 'starting'
  /** Another replica holds the Lease; ready to take over. */
  | 'standing by'
  /** It holds the Lease and reads the cluster. */
  | 'reading'
  | 'working'
  | 'ending';

export interface HealthOptions {
  readonly phase: () => Phase;
  /** The wall clock, Unix milliseconds. */
  readonly nowMs: () => number;
  /** A clock that nobody sets, e.g. `performance.now`. */
  readonly monotonicMs: () => number;
}

/** Further off than this, timers that wait for an instant come too late (cert-manager's limit too). */
const SKEW_MS_MAX = 5 * 60_000;

/**
 * The pages that the kubelet asks for.
 *
 * - `/livez`, `/healthz`: the process should go on. It should not when the clock was set by more
 *   than 5 minutes, or the machine slept: a new process waits for the right instants.
 * - `/readyz`: it has begun, or stands by. Ready does not mean leading, or no rollout would end.
 */
export function healthPages({
  phase,
  nowMs,
  monotonicMs,
}: HealthOptions): Readonly<Record<string, () => Page>> {
  const offsetMs = nowMs() - monotonicMs();
  const live = (): Page => {
    const skewMs = nowMs() - monotonicMs() - offsetMs;
    if (Math.abs(skewMs) <= SKEW_MS_MAX) return answer(200, `ok: ${phase()}`);
    return answer(500, `the clock was moved by ${Math.round(skewMs / 1000)} s since the start`);
  };
  const ready = (): Page => {
    const now = phase();
    const isReady = now !== 'starting' && now !== 'ending';
    return answer(isReady ? 200 : 503, isReady ? `ok: ${now}` : now);
  };
  return {'/livez': live, '/healthz': live, '/readyz': ready};
}

function answer(status: number, text: string): Page {
  return {status, contentType: 'text/plain; charset=utf-8', body: `${text}\n`};
}
