import type {ResourceId} from '../role/resource.ts';

/** One thing that a run would do to a host. */
export interface Change {
  readonly id: ResourceId;
  /** `record`: it is as it should be, but the run that made it died before it could say so. */
  readonly action: 'create' | 'update' | 'remove' | 'restart' | 'run' | 'record';
  /** One line for a person, e.g. `mode 644 → 600`. */
  readonly summary: string;
  /** Unified diff of text, when there is text to compare. */
  readonly diff?: string;
}
