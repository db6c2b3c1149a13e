import {mkdir, readdir, readFile, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {sha256Hex} from '#shared/digest';
import {CodedError} from '#shared/errors';
import {lastLines} from '#shared/last-lines';
import {runWithin} from '#shared/run-within';
import type {Component, FileName, OwnRecipe} from '../recipe.ts';
import type {ArtifactsErrorCode} from '../errors.ts';
import type {SourceOptions} from './source.ts';

const CHECKOUT = join(import.meta.dirname, '../../..');
const BUILD_TIMEOUT_MS = 2 * 60_000;

/** Builds a program of ours with the build module that it brings. @throws CodedError ERR_BUILD_FAILED */
export async function buildOwn(
  job: {readonly component: Component; readonly recipe: OwnRecipe; readonly folder: string},
  {signal}: Pick<SourceOptions, 'signal'>,
): Promise<Readonly<Partial<Record<FileName, string>>>> {
  const {component, recipe, folder} = job;
  const output = join(folder, 'output');
  await mkdir(output);
  const argv = [process.execPath, join(CHECKOUT, recipe.build), output];
  const options = {signal, cwd: CHECKOUT, timeoutMs: BUILD_TIMEOUT_MS};
  const {exitCode, stdout, stderr} = await runWithin(argv, options);
  if (exitCode !== 0) {
    const said = lastLines(stderr.trim() === '' ? stdout : stderr);
    throw new CodedError<ArtifactsErrorCode>(
      'ERR_BUILD_FAILED',
      `building ${component.name} with ${recipe.build} failed\n${said}`,
      {hint: 'run "npm ci" in the checkout, then try again'},
    );
  }
  const files = Object.entries(recipe.outputs);
  return Object.fromEntries(files.map(([name, file]) => [name, join(output, file)]));
}

/** Path → digest of every file below the given paths of the checkout. */
export async function digestSources(
  sources: readonly string[],
): Promise<Readonly<Record<string, string>>> {
  const digests: Record<string, string> = {};
  for (const source of sources) {
    const path = join(CHECKOUT, source);
    const isFolder = (await stat(path)).isDirectory();
    const found = isFolder ? await digestFolder(path) : {'': sha256Hex(await readFile(path))};
    for (const [name, digest] of Object.entries(found)) digests[join(source, name)] = digest;
  }
  return digests;
}

/** Path → digest of every file of a folder. */
export async function digestFolder(folder: string): Promise<Readonly<Record<string, string>>> {
  const entries = await readdir(folder, {recursive: true, withFileTypes: true});
  const files = entries.filter(entry => entry.isFile());
  const digests = files.map(async ({parentPath, name}): Promise<readonly [string, string]> => {
    const path = join(parentPath, name);
    return [path.slice(folder.length + 1), sha256Hex(await readFile(path))];
  });
  return Object.fromEntries(await Promise.all(digests));
}
