import {messageOf} from '#shared/errors';

/** One step of a component's life; printed by `provision artifacts`, shown by lab and provisioner. */
export interface ArtifactProgress {
  /** A component of the catalogue, an image reference, or `prerequisites`. */
  readonly component: string;
  /** `waiting`: for another process or for a free place. */
  readonly state: 'cached' | 'waiting' | 'building' | 'done' | 'failed';
  /** Since the step began; 0 for `cached` and `waiting`. */
  readonly seconds: number;
  readonly detail?: string;
}

export type OnProgress = (event: ArtifactProgress) => void;

/** Runs `work` between a `building` and a `done` or `failed` event, and says how long it took. */
export async function reportWork<T>(
  {component, onProgress, detail}: {component: string; onProgress: OnProgress; detail?: string},
  work: () => Promise<T>,
): Promise<{readonly result: T; readonly seconds: number}> {
  const extra = detail === undefined ? {} : {detail};
  const startMs = performance.now();
  const seconds = () => Math.round((performance.now() - startMs) / 100) / 10;
  onProgress({component, state: 'building', seconds: 0, ...extra});
  try {
    const result = await work();
    onProgress({component, state: 'done', seconds: seconds(), ...extra});
    return {result, seconds: seconds()};
  } catch (error) {
    const [reason = ''] = messageOf(error).split('\n');
    onProgress({component, state: 'failed', seconds: seconds(), detail: reason});
    throw error;
  }
}
