import {join} from 'node:path';
import {CodedError} from '#shared/errors';
import {lastLines} from '#shared/last-lines';
import {run} from '#shared/local-process';
import type {CRecipe, Component, FileName} from '../recipe.ts';
import type {ArtifactsErrorCode} from '../errors.ts';
import {ensureAptPackages} from '../prerequisites.ts';
import type {SourceOptions} from './source.ts';

const FLAGS = ['-std=gnu11', '-Os', '-Wall', '-Wextra', '-Werror', '-static', '-s'];

/** Compiles one static C program. @throws CodedError ERR_BUILD_FAILED */
export async function compileC(
  job: {
    readonly component: Component;
    readonly recipe: CRecipe;
    readonly folder: string;
    readonly root: string;
  },
  {signal, onProgress}: SourceOptions,
): Promise<Readonly<Partial<Record<FileName, string>>>> {
  const {component, recipe, folder, root} = job;
  await ensureAptPackages(recipe.aptPackages, {signal, onProgress});
  const output = join(folder, recipe.file);
  const define = `-DVERSION="${component.version}"`;
  // The path is relative, so that nothing of this machine gets into the program.
  const argv = ['gcc', ...FLAGS, define, '-o', output, recipe.source];
  const {exitCode, stderr} = await run(argv, {signal, cwd: root, env: {LC_ALL: 'C'}});
  if (exitCode === 0) return {[recipe.file]: output};
  throw new CodedError<ArtifactsErrorCode>(
    'ERR_BUILD_FAILED',
    `compiling ${recipe.source} failed\n${lastLines(stderr)}`,
    {hint: 'check that gcc and libc6-dev work on this machine'},
  );
}
