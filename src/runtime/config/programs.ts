import {accessSync, constants} from 'node:fs';
import {basename, join} from 'node:path';
import {CodedError} from '#shared/errors';
import type {CommandErrorCode} from '../errors.ts';
import type {Log} from '#shared/log';
import type {RuntimeConfig} from './runtime-config.ts';
import {runtimeSchema} from './runtime-schema.ts';

/**
 * The configuration with the paths of programs that are really there: one that is missing at its
 * default place, or has no place, is looked up on PATH. A runtime handler whose program is missing
 * is left out, with a warning, unless it is the default one.
 *
 * @throws CodedError ERR_TOOL_MISSING for the default runtime and for conmon
 */
export function findPrograms(
  config: RuntimeConfig,
  {path, log}: {readonly path: string; readonly log: Log},
): RuntimeConfig {
  const defaults = runtimeSchema.parse({});
  const find = (program: string, byDefault: string | undefined): string | undefined => {
    if (program.startsWith('/') && isExecutable(program)) return program;
    if (program.startsWith('/') && program !== byDefault) return undefined;
    return onPath(basename(program), path);
  };
  const runtimes = Object.entries(config.runtimes).flatMap(([name, handler]) => {
    const found = find(handler.path, defaults.runtimes[name]?.path);
    if (found !== undefined) return [[name, {...handler, path: found}] as const];
    if (name === config.defaultRuntime) throw missing(handler.path, `--runtime`);
    log.warn('runtime handler left out: its program is missing', {
      handler: name,
      path: handler.path,
    });
    return [];
  });
  const conmon = find(config.conmon, defaults.conmon);
  if (conmon === undefined) throw missing(config.conmon, '--conmon');
  const tini = find(config.tini, defaults.tini);
  if (tini === undefined) {
    log.warn('pods that share a PID namespace cannot start: no init', {tini: config.tini});
  }
  return {
    ...config,
    conmon,
    tini: tini ?? config.tini,
    execProgram: find(config.execProgram, defaults.execProgram) ?? config.execProgram,
    runtimes: Object.fromEntries(runtimes),
  };
}

function onPath(name: string, path: string): string | undefined {
  return path
    .split(':')
    .filter(directory => directory.startsWith('/'))
    .map(directory => join(directory, name))
    .find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false; // whatever the reason, it can't be run
  }
}

function missing(program: string, flag: string): CodedError<CommandErrorCode> {
  return new CodedError('ERR_TOOL_MISSING', `${program} is not a program that can be run`, {
    hint: `install it, put it on the PATH, or say where it is with ${flag} PATH`,
  });
}
