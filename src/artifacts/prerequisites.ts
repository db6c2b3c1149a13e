import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {aptGet} from '#shared/apt';
import {CodedError} from '#shared/errors';
import {hasCommand, run} from '#shared/local-process';
import type {ArtifactsErrorCode} from './errors.ts';
import {type OnProgress, reportWork} from './progress.ts';

const GO_HINT =
  'install Go from your distribution or https://go.dev/dl and put it into PATH, then run again';

/**
 * The version of the Go compiler in PATH, e.g. `go1.26.8`.
 *
 * @param goFolder the folder with one module per component; the newest `go` line is the least
 *   version that will do
 * @throws CodedError ERR_COMPILER_MISSING when there is none, or it is older
 */
export async function goVersion(
  {goFolder, modules}: {goFolder: string; modules: readonly string[]},
  signal: AbortSignal,
): Promise<string> {
  if (!hasCommand('go')) throw compilerMissing('found no "go" in PATH', GO_HINT);
  const env = {GOTOOLCHAIN: 'local'}; // never download another compiler behind the user's back
  const {exitCode, stdout, stderr} = await run(['go', 'env', 'GOVERSION'], {signal, env, cwd: '/'});
  const version = stdout.trim();
  if (exitCode !== 0) throw compilerMissing(`"go env GOVERSION" failed: ${stderr.trim()}`, GO_HINT);
  const needed = await newestGoLine(goFolder, modules);
  if (compareVersions(version, needed) < 0) {
    throw compilerMissing(`found ${version}, the Go modules need go${needed} or newer`, GO_HINT);
  }
  return version;
}

/** Negative, zero or positive; reads the numbers in `go1.26.8`, `1.26`, `go1.27rc1 X:flags`. */
export function compareVersions(a: string, b: string): number {
  const numbers = (text: string) => (/\d+(\.\d+)*/.exec(text)?.[0] ?? '0').split('.').map(Number);
  const [left, right] = [numbers(a), numbers(b)];
  for (let at = 0; at < Math.max(left.length, right.length); at += 1) {
    const difference = (left[at] ?? 0) - (right[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/**
 * Makes sure that Debian packages are installed on this machine; installs what is missing when we
 * are root, and reports that as the component `prerequisites`.
 *
 * @throws CodedError ERR_PACKAGES_MISSING when we may not, or apt cannot
 */
export async function ensureAptPackages(
  packages: readonly string[],
  {signal, onProgress}: {signal: AbortSignal; onProgress: OnProgress},
): Promise<void> {
  const missing = await missingPackages(packages, signal);
  if (missing.length === 0) return;
  const install = ['install', '--yes', '--no-install-recommends', ...missing];
  if (process.getuid?.() !== 0 || !hasCommand('apt-get')) {
    throw packagesMissing(missing, `run: sudo apt-get ${install.join(' ')}`);
  }
  const detail = `installing ${missing.join(' ')}`;
  await reportWork({component: 'prerequisites', onProgress, detail}, async () => {
    const {isDone, said} = await aptGet(install, {signal});
    if (!isDone) throw packagesMissing(missing, `see what apt says: ${said}`);
  });
}

async function missingPackages(
  packages: readonly string[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (!hasCommand('dpkg-query')) return packages;
  const argv = ['dpkg-query', '--show', '--showformat', '${Package} ${db:Status-Status}\\n'];
  const {stdout} = await run([...argv, ...packages], {signal, env: {LC_ALL: 'C'}});
  const installed = new Set(stdout.split('\n'));
  return packages.filter(name => !installed.has(`${name} installed`));
}

async function newestGoLine(goFolder: string, modules: readonly string[]): Promise<string> {
  const texts = await Promise.all(
    modules.map(name => readFile(join(goFolder, name, 'go.mod'), 'utf8')),
  );
  const lines = texts.map(text => /^go (\S+)$/m.exec(text)?.[1] ?? '0');
  return lines.reduce((newest, line) => (compareVersions(line, newest) > 0 ? line : newest), '0');
}

function compilerMissing(found: string, hint: string): CodedError<ArtifactsErrorCode> {
  return new CodedError(
    'ERR_COMPILER_MISSING',
    `compiling the artifacts needs the Go compiler: ${found}`,
    {hint},
  );
}

function packagesMissing(missing: readonly string[], hint: string): CodedError<ArtifactsErrorCode> {
  return new CodedError(
    'ERR_PACKAGES_MISSING',
    `building the artifacts needs Debian packages that are not installed: ${missing.join(' ')}`,
    {hint},
  );
}
