import type {Digest} from '#shared/oci/digest';
import type {RuntimeErrorCode} from '../errors.ts';

/**
 * What the daemon asks of an unpack worker, one JSON line on its standard input each. A layer's
 * line is followed by exactly `sizeBytes` bytes, the layer as transferred.
 */
export type UnpackJob = LayerJob | SettleJob | SyncJob | RemoveJob;

export interface LayerJob {
  readonly kind: 'layer';
  readonly digest: Digest;
  readonly diffId: Digest;
  readonly sizeBytes: number;
  /** An empty directory with nothing else in it but what the worker puts there. */
  readonly directory: string;
}

/** Completes an unpacked layer now that the layers below are known. */
export interface SettleJob {
  readonly kind: 'settle';
  readonly directory: string;
  /** Trees of the layers below, the uppermost first. */
  readonly lowers: readonly string[];
}

/** Writes everything of the file system that has `directory` to its disk. */
export interface SyncJob {
  readonly kind: 'sync';
  readonly directory: string;
}

/** Removes what lies in a directory; the directory itself stays. */
export interface RemoveJob {
  readonly kind: 'remove';
  readonly directory: string;
}

/** The worker's answer, one JSON line on its standard output. */
export type UnpackAnswer = UnpackDone | {readonly kind: 'failed'; readonly failure: UnpackFailure};

export interface UnpackDone {
  readonly kind: 'done';
  /** Bytes of content of all files, new ones only for a settled layer. */
  readonly sizeBytes: number;
  /** The same in whole blocks, and one block per directory. */
  readonly diskBytes: number;
  readonly inodes: number;
  /** The layer must be settled before it is used. */
  readonly isPending: boolean;
}

export interface UnpackFailure {
  /** undefined for what no code describes. */
  readonly code?: RuntimeErrorCode;
  readonly message: string;
  readonly hint: string;
}

/** Inside of a job's directory: the layer's tree, and the work left for settling. */
export const TREE_DIRECTORY = 'tree';
export const PENDING_FILE = 'pending.json';
