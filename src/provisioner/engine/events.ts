/**
 * What a run tells the outside, in order; the journal and `--output json` are these objects, one
 * JSON text per line. The schema is versioned: docs/events.md.
 */
export const EVENTS_VERSION = 1;

export type RunEvent =
  | {
      readonly type: 'run-started';
      readonly version: typeof EVENTS_VERSION;
      readonly run: string; // e.g. 20261122T034500Z-a1b2c3
      readonly action: string;
      readonly cluster: string;
      readonly hosts: readonly string[];
    }
  | {readonly type: 'plan'; readonly changes: number; readonly hosts: readonly PlannedHost[]}
  | {readonly type: 'task-started'; readonly phase: string; readonly host?: string}
  | {
      readonly type: 'task-progress';
      readonly phase: string;
      readonly host?: string;
      readonly text: string;
    }
  | {
      readonly type: 'task-finished';
      readonly phase: string;
      readonly host?: string;
      readonly changes: number;
      readonly seconds: number;
    }
  | {
      readonly type: 'task-failed';
      readonly phase: string;
      readonly host?: string;
      readonly code: string;
      readonly message: string;
      readonly hint: string;
    }
  | {
      readonly type: 'task-skipped';
      readonly phase: string;
      readonly host?: string;
      readonly reason: string;
    }
  | {readonly type: 'message'; readonly text: string}
  | {
      readonly type: 'run-finished';
      readonly ok: boolean;
      readonly exitCode: number;
      readonly changes: number;
      readonly seconds: number;
      readonly hosts: readonly HostOutcome[];
    };

export interface PlannedHost {
  readonly host: string; // `cluster` for what is done through the Kubernetes API
  readonly changes: readonly {
    readonly phase: string;
    readonly id: string;
    readonly action: string;
    readonly summary: string;
    readonly diff?: string;
  }[];
}

export interface HostOutcome {
  readonly host: string;
  readonly state: 'done' | 'failed' | 'not-finished';
  readonly changes: number;
  /** The phase it failed in or stopped before. */
  readonly phase?: string;
  readonly code?: string;
}

/** An event with the moment it happened, as it stands in the journal. */
export type TimedEvent = RunEvent & {readonly at: string};

export type Emit = (event: RunEvent) => void;
