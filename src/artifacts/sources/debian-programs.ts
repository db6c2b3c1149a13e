import {join} from 'node:path';
import {CodedError} from '#shared/errors';
import {run} from '#shared/local-process';
import type {Component, DebianProgramsRecipe, FileName} from '../recipe.ts';
import type {ArtifactsErrorCode} from '../errors.ts';
import {compareVersions} from '../prerequisites.ts';
import {unpackDebian} from './extract-debian.ts';
import type {SourceOptions} from './source.ts';

/** What the dynamic section of a program asks of the machine that runs it. */
export interface DynamicNeeds {
  /** Sonames. */
  readonly libraries: readonly string[];
  /** The newest symbol version of the C library, e.g. `2.34`; undefined for a static program. */
  readonly glibc: string | undefined;
}

/**
 * Takes single programs out of Debian packages, and makes sure that hosts can run them: a package
 * that begins to need another library must not reach them unnoticed.
 *
 * @throws CodedError ERR_BUILD_FAILED when packages cannot be had, or a program needs other
 *   libraries than the recipe says
 */
export async function takeDebianPrograms(
  job: {
    readonly component: Component;
    readonly recipe: DebianProgramsRecipe;
    readonly folder: string;
  },
  options: SourceOptions,
): Promise<Readonly<Partial<Record<FileName, string>>>> {
  const {recipe} = job;
  const root = await unpackDebian(job, options);
  const files: Partial<Record<FileName, string>> = {};
  for (const [name, {path, libraries}] of Object.entries(recipe.programs)) {
    const program = join(root, path);
    const argv = ['readelf', '--wide', '--dynamic', '--version-info', program];
    const {exitCode, stdout, stderr} = await run(argv, {
      signal: options.signal,
      env: {LC_ALL: 'C'},
    });
    if (exitCode !== 0) throw unfit(name, `readelf says: ${stderr.trim()}`);
    const problem = unmetNeeds(parseNeeds(stdout), {libraries, glibcMax: recipe.glibcMax});
    if (problem !== undefined) throw unfit(name, problem);
    files[name as FileName] = program; // a key of the recipe
  }
  return files;
}

/** Reads what `readelf --dynamic --version-info` prints. */
export function parseNeeds(text: string): DynamicNeeds {
  const libraries = [...text.matchAll(/\(NEEDED\).*\[(.+)\]/g)].map(([, name = '']) => name);
  const versions = [...text.matchAll(/Name: GLIBC_([0-9.]+)/g)].map(([, version = '']) => version);
  return {libraries: libraries.sort(), glibc: versions.sort(compareVersions).at(-1)};
}

/** What a program needs and hosts are not known to have; undefined when there is nothing. */
export function unmetNeeds(
  needs: DynamicNeeds,
  {libraries, glibcMax}: {readonly libraries: readonly string[]; readonly glibcMax: string},
): string | undefined {
  const unknown = needs.libraries.filter(name => !libraries.includes(name));
  if (unknown.length > 0) return `it needs ${unknown.join(', ')}`;
  const {glibc} = needs;
  if (glibc === undefined || compareVersions(glibc, glibcMax) <= 0) return undefined;
  return `it needs version ${glibc} of the C library, hosts have ${glibcMax}`;
}

function unfit(name: string, reason: string): CodedError<ArtifactsErrorCode> {
  return new CodedError(
    'ERR_BUILD_FAILED',
    `${name} from Debian would not run on hosts: ${reason}`,
    {
      hint: 'the package changed: its recipe in src/artifacts/catalogue.ts has to follow',
    },
  );
}
