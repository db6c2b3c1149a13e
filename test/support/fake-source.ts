import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {ArtifactCache} from '#artifacts/cache';
import {filesOf} from '#artifacts/catalogue';
import type {Component} from '#artifacts/recipe';
import {LockFile} from '#artifacts/lock-file';
import type {ArtifactProgress} from '#artifacts/progress';
import type {ArtifactSource} from '#artifacts/sources/source';
import {ArtifactStore} from '#artifacts/store';

export interface FakeSource extends ArtifactSource {
  /** Names of the components that were made, in order. */
  readonly made: readonly string[];
}

/** A source that writes a line per file; `content` decides what the line says. */
export function fakeSource({
  key = component => `key-${component.name}`,
  content = file => `content of ${file}`,
  beforeProvide = () => Promise.resolve(),
}: {
  readonly key?: (component: Component) => string;
  readonly content?: (file: string) => string;
  readonly beforeProvide?: (component: Component) => Promise<void>;
} = {}): FakeSource {
  const made: string[] = [];
  return {
    name: 'packages',
    made,
    key: component => Promise.resolve(key(component)),
    async provide(component, folder) {
      made.push(component.name);
      await beforeProvide(component);
      const files = filesOf(component).map(async file => {
        await writeFile(join(folder, file), content(file));
        return [file, join(folder, file)] as const;
      });
      return Object.fromEntries(await Promise.all(files));
    },
  };
}

/** A store over a source, in a cache and with a lock file of one folder. */
export async function openFakeStore(
  folder: string,
  source: ArtifactSource,
  {signal = new AbortController().signal, events = [] as ArtifactProgress[]} = {},
): Promise<ArtifactStore> {
  return new ArtifactStore({
    arch: 'amd64',
    source,
    cache: await ArtifactCache.open(join(folder, 'cache')),
    lock: await LockFile.open(join(folder, 'cluster.lock.yaml'), source.name),
    signal,
    onProgress: event => {
      events.push(event);
    },
  });
}
