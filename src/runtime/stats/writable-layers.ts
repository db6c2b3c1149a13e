import type {WritableLayer} from './measured.ts';

/** How much a container has written, and in how many files. */
export interface LayerUsage {
  readonly usedBytes: number;
  readonly inodes: number;
}

export interface WritableLayers {
  /** The last measurement; an old one is renewed in the background. */
  of(containerId: string): WritableLayer;
  forget(containerId: string): void;
}

/** The kubelet looks every ten seconds; a walk over a big layer takes seconds. */
const MAX_AGE_NS = 30_000_000_000n;

/**
 * Keeps what each container has written. Walking a layer is slow, so that it never happens within
 * a request: one layer at a time, in the background, and only of containers that are asked for.
 */
export function createWritableLayers({
  mountpoint,
  measure,
  signal,
  nowNs = () => BigInt(Date.now()) * 1_000_000n,
}: {
  readonly mountpoint: string;
  readonly measure: (containerId: string, signal: AbortSignal) => Promise<LayerUsage>;
  readonly signal: AbortSignal;
  readonly nowNs?: () => bigint;
}): WritableLayers {
  const known = new Map<string, NonNullable<WritableLayer['usage']>>();
  const waiting = new Set<string>();
  let working = false;
  const work = async (): Promise<void> => {
    for (const id of waiting) {
      if (signal.aborted) break;
      try {
        const usage = await measure(id, signal);
        if (waiting.has(id)) known.set(id, {...usage, measuredAtNs: nowNs()});
      } catch {
        // The container has gone, or its walk was stopped: the last answer stays, or none.
      }
      waiting.delete(id);
    }
    working = false;
  };
  return {
    of(containerId) {
      const usage = known.get(containerId);
      if (usage === undefined || nowNs() - usage.measuredAtNs > MAX_AGE_NS) {
        waiting.add(containerId);
        if (!working) {
          working = true;
          void work();
        }
      }
      return {mountpoint, ...(usage === undefined ? {} : {usage})};
    },
    forget(containerId) {
      known.delete(containerId);
      waiting.delete(containerId);
    },
  };
}
