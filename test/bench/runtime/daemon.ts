import {mkdir} from 'node:fs/promises';
import {join} from 'node:path';
import {run} from '#shared/local-process';

const ROOT = new URL('../../..', import.meta.url).pathname;

/** Builds the bundle that hosts get; the path of its entry. */
export async function buildDaemon(folder: string, signal: AbortSignal): Promise<string> {
  await mkdir(folder, {recursive: true});
  const argv = [process.execPath, join(ROOT, 'src/runtime/build.ts'), folder];
  const {exitCode, stderr} = await run(argv, {signal});
  if (exitCode !== 0) throw new Error(`the daemon's bundle was not built: ${stderr}`);
  return join(folder, 'slipway-cri.mjs');
}
