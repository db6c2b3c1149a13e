import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

/** A folder that is gone when its scope ends. */
export async function temporaryFolder(): Promise<{readonly path: string} & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'slipway-test-'));
  return {
    path,
    async [Symbol.asyncDispose]() {
      await rm(path, {recursive: true, force: true});
    },
  };
}
