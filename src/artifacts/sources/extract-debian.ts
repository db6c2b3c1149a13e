import {createWriteStream} from 'node:fs';
import {lstat, mkdir, readdir, readlink} from 'node:fs/promises';
import {join} from 'node:path';
import {pipeline} from 'node:stream/promises';
import {machineDebianMirror} from '#shared/debian-mirror';
import {CodedError} from '#shared/errors';
import {lastLines} from '#shared/last-lines';
import {hasCommand} from '#shared/local-process';
import {runWithin} from '#shared/run-within';
import type {Arch} from '../artifact.ts';
import type {Component, DebianRecipe, FileName} from '../recipe.ts';
import type {ArtifactsErrorCode} from '../errors.ts';
import {type TarEntry, tarStream} from '../images/tar.ts';
import {ensureAptPackages} from '../prerequisites.ts';
import type {SourceOptions} from './source.ts';

const EXTRACT_TIMEOUT_MS = 10 * 60_000;

/**
 * Unpacks Debian packages with what they depend on (no script of theirs is run), keeps what the
 * recipe keeps, and writes it as one tar whose bytes depend on the packages alone.
 *
 * @throws CodedError ERR_BUILD_FAILED when the packages cannot be had
 */
export async function extractDebian(
  job: {readonly component: Component; readonly recipe: DebianRecipe; readonly folder: string},
  options: SourceOptions,
): Promise<Readonly<Partial<Record<FileName, string>>>> {
  const {recipe, folder} = job;
  const root = await unpackDebian(job, options);
  const output = join(folder, `${recipe.file}.tar`);
  const entries = await selectEntries(root, recipeOn(recipe, options.arch));
  await pipeline(tarStream(entries), createWriteStream(output));
  return {[recipe.file]: output};
}

/**
 * Unpacks Debian packages with what they depend on into `root` of a folder; no script of theirs is
 * run.
 *
 * @returns the path of that root
 * @throws CodedError ERR_BUILD_FAILED when the packages cannot be had
 */
export async function unpackDebian(
  job: {
    readonly component: Component;
    readonly recipe: Pick<DebianRecipe, 'suite' | 'include' | 'aptPackages'>;
    readonly folder: string;
  },
  {arch, signal, onProgress}: SourceOptions,
): Promise<string> {
  const {component, recipe, folder} = job;
  await ensureAptPackages(recipe.aptPackages, {signal, onProgress});
  const root = join(folder, 'root');
  await mkdir(root);
  const isRoot = process.getuid?.() === 0;
  const mirrors = await debianMirror(signal);
  const argv = unpackCommand(recipe, {arch, root, mirrors, isRoot});
  const {exitCode, stderr} = await runWithin(argv, {
    signal,
    cwd: folder,
    env: {LC_ALL: 'C', SOURCE_DATE_EPOCH: '0'},
    timeoutMs: EXTRACT_TIMEOUT_MS,
  });
  if (exitCode !== 0) throw extractFailure(component, recipe, stderr);
  return root;
}

/** Where the loader of x86-64 lies (its psABI); other architectures have no such folder. */
const LIB64 = /^(usr[/])?lib64$/;

/** What of a recipe there is on an architecture. */
export function recipeOn(
  {keep, drop, links}: Pick<DebianRecipe, 'keep' | 'drop' | 'links'>,
  arch: Arch,
): Pick<DebianRecipe, 'keep' | 'drop' | 'links'> {
  if (arch === 'amd64') return {keep, drop, links};
  const isThere = (path: string) => !LIB64.test(path);
  return {
    keep: keep.filter(isThere),
    drop,
    links: Object.fromEntries(Object.entries(links).filter(([path]) => isThere(path))),
  };
}

/** What mmdebstrap is called with; without root, too: nothing that it unpacks here is run. */
export function unpackCommand(
  {suite, include}: Pick<DebianRecipe, 'suite' | 'include'>,
  options: {
    readonly arch: Arch;
    readonly root: string;
    readonly mirrors: readonly string[];
    readonly isRoot: boolean;
  },
): readonly string[] {
  const {arch, root, mirrors, isRoot} = options;
  // It would choose a way to become root inside, which few machines have for their users.
  const mode = isRoot ? [] : ['--mode=chrootless'];
  const kind = ['--variant=extract', '--format=directory', `--architectures=${arch}`];
  const retries = '--aptopt=Acquire::Retries "3"';
  const packages = `--include=${include.join(',')}`;
  return ['mmdebstrap', ...mode, ...kind, retries, packages, suite, root, ...mirrors];
}

/** The kept files of an unpacked root and the recipe's links, as members of an archive. */
export async function selectEntries(
  root: string,
  {keep, drop, links}: Pick<DebianRecipe, 'keep' | 'drop' | 'links'>,
): Promise<readonly TarEntry[]> {
  const entries: TarEntry[] = [];
  const dropped = drop.map(pathPattern);
  const visit = async (path: string): Promise<void> => {
    if (dropped.some(pattern => pattern.test(path))) return;
    const full = join(root, path);
    const stats = await lstat(full);
    const mode = stats.mode & 0o777;
    if (stats.isSymbolicLink()) {
      entries.push({kind: 'link', path, target: await readlink(full)});
    } else if (stats.isFile()) {
      entries.push({kind: 'file', path, mode, sizeBytes: stats.size, content: full});
    } else if (stats.isDirectory()) {
      entries.push({kind: 'directory', path, mode});
      for (const name of await readdir(full)) await visit(`${path}/${name}`);
    }
  };
  for (const path of keep) await visit(path);
  for (const [path, target] of Object.entries(links)) entries.push({kind: 'link', path, target});
  return entries;
}

/** None leaves the choice to mmdebstrap. */
async function debianMirror(signal: AbortSignal): Promise<readonly string[]> {
  const mirror = hasCommand('apt-get') ? await machineDebianMirror(signal) : undefined;
  return mirror === undefined ? [] : [mirror];
}

function pathPattern(text: string): RegExp {
  const escaped = text.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^/]*');
  return new RegExp(`^${escaped}$`);
}

function extractFailure(
  {name}: Component,
  {include, suite}: Pick<DebianRecipe, 'include' | 'suite'>,
  stderr: string,
): CodedError<ArtifactsErrorCode> {
  const packages = include.join(', ');
  return new CodedError(
    'ERR_BUILD_FAILED',
    `${name}: mmdebstrap could not unpack ${packages} of Debian ${suite}\n${lastLines(stderr)}`,
    {hint: 'check that apt on this machine can fetch from a Debian mirror ("apt-get update")'},
  );
}
