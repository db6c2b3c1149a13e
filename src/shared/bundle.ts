import {fileURLToPath} from 'node:url';
import {build, type Plugin} from 'esbuild';

export interface BundleEntries {
  readonly outDirectory: string;
  /** Name of the module that is written, without `.mjs` → its source, from the project's root. */
  readonly entryPoints: Readonly<Record<string, string>>;
  readonly plugins?: readonly Plugin[];
  /** Imports that stay imports. */
  readonly external?: readonly string[];
}

/**
 * Writes programs as modules that run on bare Node 24, without node_modules. The same sources give
 * the same bytes.
 */
export async function bundlePrograms(entries: BundleEntries): Promise<void> {
  const {outDirectory, entryPoints, plugins = [], external = []} = entries;
  await build({
    absWorkingDir: fileURLToPath(new URL('../..', import.meta.url)),
    entryPoints: {...entryPoints},
    outdir: outDirectory,
    outExtension: {'.js': '.mjs'},
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    // Names stay, so that a stack trace in a bug report says something.
    minifyWhitespace: true,
    minifySyntax: true,
    // Packages in CommonJS ask for Node's own modules by require().
    banner: {
      js: "import {createRequire as requireFrom} from 'node:module';const require=requireFrom(import.meta.url);",
    },
    plugins: [...plugins],
    external: [...external],
    logLevel: 'error',
  });
}
