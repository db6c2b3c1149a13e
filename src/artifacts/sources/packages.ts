import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {CodedError} from '#shared/errors';
import {digestOf, sha256Hex} from '#shared/digest';
import type {Arch} from '../artifact.ts';
import {catalogue} from '../catalogue.ts';
import type {Component} from '../recipe.ts';
import type {ArtifactsErrorCode} from '../errors.ts';
import {goVersion} from '../prerequisites.ts';
import {buildOwn, digestFolder, digestSources} from './build-own.ts';
import {compileC} from './compile-c.ts';
import {compileGo, goSettings} from './compile-go.ts';
import {takeDebianPrograms} from './debian-programs.ts';
import {extractDebian} from './extract-debian.ts';
import {takeNpmProgram} from './npm-program.ts';
import type {ArtifactSource, SourceOptions} from './source.ts';

/** Raise it when the way of building changes in a manner that no recipe shows. */
const METHOD_VERSION = 1;
const ARTIFACTS_FOLDER = join(import.meta.dirname, '..');
const GO_FOLDER = join(ARTIFACTS_FOLDER, 'go');

/**
 * What a company's package proxies can give: Go modules compiled here from committed go.mod and
 * go.sum, files of Debian packages, programs of npm packages, one C program
 * and the programs of ours.
 */
export function openPackagesSource(options: SourceOptions): ArtifactSource {
  const {arch, signal} = options;
  let compiler: Promise<string> | undefined;
  const readCompiler = () =>
    (compiler ??= goVersion({goFolder: GO_FOLDER, modules: goModules()}, signal));
  return {
    name: 'packages',
    async key({name, version, recipe}) {
      const common = {method: METHOD_VERSION, name, version, arch, recipe};
      switch (recipe.kind) {
        case 'go': {
          refuseForeignArch(name, arch, recipe.cgo !== undefined);
          const sources = await digestFolder(join(GO_FOLDER, name));
          const settings = goSettings(recipe, arch);
          return digestOf({...common, sources, settings, compiler: await readCompiler()});
        }
        case 'c': {
          refuseForeignArch(name, arch, true);
          const source = sha256Hex(await readFile(join(ARTIFACTS_FOLDER, recipe.source)));
          return digestOf({...common, source});
        }
        case 'own': {
          refuseForeignArch(name, arch, true); // koffi's native part is this machine's
          return digestOf({...common, sources: await digestSources(recipe.sources)});
        }
        case 'debian':
        case 'debian-programs':
        case 'npm':
          return digestOf(common);
        default:
          return recipe satisfies never;
      }
    },
    async provide(component, folder) {
      const {recipe} = component;
      switch (recipe.kind) {
        case 'go':
          return await compileGo(
            {component, recipe, moduleFolder: join(GO_FOLDER, component.name), folder},
            options,
          );
        case 'c':
          return await compileC({component, recipe, folder, root: ARTIFACTS_FOLDER}, options);
        case 'debian':
          return await extractDebian({component, recipe, folder}, options);
        case 'debian-programs':
          return await takeDebianPrograms({component, recipe, folder}, options);
        case 'npm':
          return await takeNpmProgram({component, recipe, folder}, arch);
        case 'own':
          return await buildOwn({component, recipe, folder}, options);
        default:
          return recipe satisfies never;
      }
    },
  };
}

/** This machine's architecture in Go's and OCI's words. */
export function machineArch(nodeArch: string = process.arch): Arch {
  const arch = {x64: 'amd64', arm64: 'arm64'}[nodeArch];
  if (arch === 'amd64' || arch === 'arm64') return arch;
  throw new CodedError<ArtifactsErrorCode>(
    'ERR_ARTIFACT_ARCH_UNAVAILABLE',
    `artifacts are made for amd64 and arm64, this machine is ${nodeArch}`,
    {hint: 'run on a machine of one of these architectures'},
  );
}

function refuseForeignArch(component: Component['name'], arch: Arch, needsC: boolean): void {
  if (!needsC || machineArch() === arch) return;
  throw new CodedError<ArtifactsErrorCode>(
    'ERR_ARTIFACT_ARCH_UNAVAILABLE',
    `${component} has C parts and cannot be compiled for ${arch} on ${machineArch()}`,
    {hint: `run "provision artifacts" on a machine that is ${arch} itself`},
  );
}

function goModules(): readonly string[] {
  return catalogue.filter(({recipe}) => recipe.kind === 'go').map(({name}) => name);
}
