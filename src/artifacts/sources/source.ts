import type {Arch} from '../artifact.ts';
import type {Component, FileName} from '../recipe.ts';
import type {OnProgress} from '../progress.ts';

/** Where artifacts come from; chosen once per cluster and recorded in its lock file. */
export type SourceName = 'bundle' | 'release' | 'packages';

export interface SourceOptions {
  readonly arch: Arch;
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
}

/** One way to obtain components; the store caches, locks and verifies what it gives. */
export interface ArtifactSource {
  readonly name: SourceName;
  /**
   * Digest of everything that decides the content of a component: same key, same files.
   *
   * @throws CodedError when this source cannot give the component on this machine at all
   */
  key(component: Component): Promise<string>;
  /** Makes the files of a component in `folder`, which is empty; returns their paths. */
  provide(
    component: Component,
    folder: string,
  ): Promise<Readonly<Partial<Record<FileName, string>>>>;
}
