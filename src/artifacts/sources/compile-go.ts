import {mkdir} from 'node:fs/promises';
import {join} from 'node:path';
import {CodedError} from '#shared/errors';
import {lastLines} from '#shared/last-lines';
import {hasCommand, run} from '#shared/local-process';
import type {Arch} from '../artifact.ts';
import type {Component, FileName, GoRecipe} from '../recipe.ts';
import type {ArtifactsErrorCode} from '../errors.ts';
import {ensureAptPackages} from '../prerequisites.ts';
import type {SourceOptions} from './source.ts';

/** What `go build` is given; part of the recipe's key. */
export interface GoSettings {
  readonly env: Readonly<Record<string, string>>;
  readonly flags: readonly string[];
}

const PROGRESS_EVERY_MS = 10_000;
const OUTPUT_BYTES_MAX = 256 * 1024;
const ATTEMPTS_MAX = 3;

/** Environment and flags of a build: static, without paths or time in it, nothing downloaded but modules. */
export function goSettings({cgo, variables}: GoRecipe, arch: Arch): GoSettings {
  const defines = Object.entries(variables).map(([name, value]) => `-X ${name}=${value}`);
  const linkStatic = cgo === undefined ? [] : ['-linkmode external', '-extldflags "-static"'];
  const tags = cgo === undefined ? [] : ['-tags', cgo.tags.join(',')];
  return {
    env: {
      CGO_ENABLED: cgo === undefined ? '0' : '1',
      GOAMD64: 'v1', // runs on every x86-64, whatever "go env -w" set on this machine
      GOARCH: arch,
      GOARM64: 'v8.0',
      GOFLAGS: '-buildvcs=false -trimpath',
      GOOS: 'linux',
      GOTOOLCHAIN: 'local',
      GOWORK: 'off',
    },
    flags: [...tags, '-ldflags', ['-s -w', ...defines, ...linkStatic].join(' ')],
  };
}

/**
 * Compiles a component's commands from its committed module.
 *
 * @throws CodedError ERR_MODULE_UNAVAILABLE when a module cannot be fetched, ERR_BUILD_FAILED for
 *   anything else that the compiler says
 */
export async function compileGo(
  job: {
    readonly component: Component;
    readonly recipe: GoRecipe;
    readonly moduleFolder: string;
    readonly folder: string;
  },
  {arch, signal, onProgress}: SourceOptions,
): Promise<Readonly<Partial<Record<FileName, string>>>> {
  const {component, recipe, moduleFolder, folder} = job;
  await ensureAptPackages(cgoPackages(recipe, hasCommand), {signal, onProgress});
  const output = join(folder, 'bin');
  await mkdir(output);
  const {env, flags} = goSettings(recipe, arch);
  const packages = Object.values(recipe.packages);
  const argv = ['go', 'build', '-v', ...flags, '-o', `${output}/`, ...packages];
  const onLine = countPackages((detail, seconds) => {
    onProgress({component: component.name, state: 'building', seconds, detail});
  });
  const outputBytesMax = OUTPUT_BYTES_MAX;
  const ownEnv = {...env, GOTMPDIR: folder}; // go leaves its folder behind when it is stopped
  for (let attempt = 1; ; attempt += 1) {
    const options = {signal, cwd: moduleFolder, env: ownEnv, outputBytesMax, onLine};
    const {exitCode, stderr} = await run(argv, options);
    if (exitCode === 0) break;
    // What was fetched and compiled is kept, so another attempt goes on where this one ended.
    if (attempt === ATTEMPTS_MAX || !isTransient(stderr)) throw buildFailure(component, stderr);
  }
  const names = Object.entries(recipe.packages);
  return Object.fromEntries(names.map(([file, path]) => [file, join(output, commandName(path))]));
}

/**
 * Debian packages that a module with C parts is compiled with.
 *
 * pkg-config is the one of them that is not in the recipe, and so not in its key: it only finds the
 * libraries (cgo(1), `#cgo pkg-config`), whatever package brought it.
 */
export function cgoPackages({cgo}: GoRecipe, has: (command: string) => boolean): readonly string[] {
  if (cgo === undefined) return [];
  return has('pkg-config') ? cgo.aptPackages : [...cgo.aptPackages, 'pkg-config'];
}

/** The name that `go build` gives a command: the last element of its path that is no version. */
export function commandName(packagePath: string): string {
  const parts = packagePath.split('/').filter(part => !/^v\d+$/.test(part));
  return parts.at(-1) ?? packagePath;
}

/** What a failed `go build` means; exported for its table of real messages in the tests. */
export function buildFailure(
  {name, version}: Pick<Component, 'name' | 'version'>,
  stderr: string,
): CodedError<ArtifactsErrorCode> {
  const said = lastLines(withoutNoise(stderr));
  if (stderr.includes('no space left on device')) {
    return new CodedError(
      'ERR_ARTIFACT_DISK_FULL',
      `compiling ${name} ${version}: disk full\n${said}`,
      {
        hint: 'free some space in the Go build cache ("go env GOCACHE"), /tmp and the artifact cache',
      },
    );
  }
  const module = unavailableModule(stderr);
  if (module !== undefined) {
    const message = `compiling ${name} ${version}: cannot fetch the Go module ${module}\n${said}`;
    return new CodedError('ERR_MODULE_UNAVAILABLE', message, {
      hint: 'check that the proxy in "go env GOPROXY" can be reached and serves this module',
    });
  }
  return new CodedError('ERR_BUILD_FAILED', `compiling ${name} ${version} failed\n${said}`, {
    hint: 'see the compiler\'s last lines above; "signal: killed" means too little memory',
  });
}

/** A proxy that is overloaded or a connection that broke, as opposed to a module it will not give. */
export function isTransient(stderr: string): boolean {
  const transient =
    /: (?:429|5\d\d) |i\/o timeout|TLS handshake timeout|connection reset|unexpected EOF|stream error/;
  return unavailableModule(stderr) !== undefined && transient.test(stderr);
}

/** `path@version` of the module that go could not get, from lines such as `go: M@V: reading …: 403`. */
function unavailableModule(stderr: string): string | undefined {
  // With GOPROXY=off go does not say which one.
  if (stderr.includes('module lookup disabled')) return 'that is not in the module cache';
  const fetching =
    /(?:reading|Get|verifying|dial|unrecognized import|invalid version|lookup|git ls-remote)/;
  const line = stderr.split('\n').find(text => text.includes('@v') && fetching.test(text));
  return /([\w./~-]+@v[\w.+-]+)/.exec(line ?? '')?.[1];
}

/** `go build -v` names every package that it compiles, and go every module that it downloads. */
function withoutNoise(stderr: string): string {
  const noise = /^(?:go: downloading .*|[\w.~-]+(?:\/[\w.~-]+)*)$/;
  return stderr
    .split('\n')
    .filter(line => !noise.test(line))
    .join('\n');
}

function countPackages(report: (detail: string, seconds: number) => void): (line: string) => void {
  const startMs = performance.now();
  let reportedMs = startMs;
  let packageCount = 0;
  let moduleCount = 0;
  return line => {
    if (line.startsWith('go: downloading')) moduleCount += 1;
    else packageCount += 1;
    const nowMs = performance.now();
    if (nowMs - reportedMs < PROGRESS_EVERY_MS) return;
    reportedMs = nowMs;
    const modules = moduleCount === 0 ? '' : `${moduleCount} modules fetched, `;
    report(`${modules}${packageCount} packages compiled`, Math.round((nowMs - startMs) / 1000));
  };
}
