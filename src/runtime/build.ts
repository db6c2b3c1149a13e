// node src/runtime/build.ts OUTPUT_DIR [ARCH]: what a host gets of the daemon.
import {copyFile, mkdir} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import type {Plugin} from 'esbuild';
import {bundlePrograms} from '#shared/bundle';

/** The files of the bundle; they have to lie in one folder. `slipway-cri.mjs` is the one to run. */
export const BUNDLE_FILES = ['slipway-cri.mjs', 'unpack-worker.mjs', 'koffi.node'] as const;

export interface BundleOptions {
  /** As `process.arch` names it; the only file that depends on it is `koffi.node`. */
  readonly arch: string;
}

/**
 * Writes the daemon as files that run on bare Node 24, without node_modules. The same sources give
 * the same bytes.
 */
export async function buildRuntimeBundle(
  outDirectory: string,
  {arch}: BundleOptions,
): Promise<void> {
  await mkdir(outDirectory, {recursive: true});
  await bundlePrograms({
    outDirectory,
    entryPoints: {
      'slipway-cri': 'src/runtime/main.ts',
      'unpack-worker': 'src/runtime/image/unpack-worker.ts',
    },
    plugins: [koffiBesideTheBundle, zodInEnglish],
    // grpc-js loads it for channelz and ORCA only, and we use neither.
    external: ['./koffi.node', '@grpc/proto-loader'],
  });
  const native = `node_modules/@koromix/koffi-linux-${arch}/linux_${arch}/koffi.node`;
  await copyFile(join(ROOT, native), join(outDirectory, 'koffi.node'));
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** koffi looks for its native part in node_modules; here it lies beside the bundle. */
const koffiBesideTheBundle: Plugin = {
  name: 'koffi-beside-the-bundle',
  setup: bundler => {
    bundler.onLoad({filter: /\/koffi\/src\/koffi\/src\/static\.js$/}, () => ({
      contents: "export const loadStatic = () => require('./koffi.node');",
      loader: 'js',
    }));
  },
};

/** Messages of zod in 50 languages are a quarter of the bundle; ours are in the schema. */
const zodInEnglish: Plugin = {
  name: 'zod-in-english',
  setup: bundler => {
    bundler.onLoad({filter: /\/zod\/v4\/locales\/index\.js$/}, () => ({
      contents: "export {default as en} from './en.js';",
      loader: 'js',
    }));
  },
};

if (import.meta.main) {
  const [outDirectory, arch = process.arch] = process.argv.slice(2);
  if (outDirectory === undefined) {
    console.error('usage: node src/runtime/build.ts OUTPUT_DIR [x64|arm64]');
    process.exitCode = 2;
  } else {
    await buildRuntimeBundle(outDirectory, {arch});
  }
}
