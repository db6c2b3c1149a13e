import {CodedError} from '#shared/errors';
import type {CommandErrorCode} from '../errors.ts';

/** One thing that is wrong with the configuration. */
export interface ConfigProblem {
  /** A file's path, or `command line`. */
  readonly file: string;
  /** From 1; undefined where the file as a whole is meant. */
  readonly line: number | undefined;
  /** Keys joined by dots; empty for the whole file. */
  readonly path: string;
  readonly message: string;
}

/** More would push the first ones off every screen. */
const SHOWN_PROBLEMS_MAX = 20;

/** Every problem at once, e.g. `/etc/slipway/cri.toml:3 cni.confDir: unknown key; did you mean …`. */
export function configInvalid(problems: readonly ConfigProblem[]): CodedError<CommandErrorCode> {
  const lines = problems.slice(0, SHOWN_PROBLEMS_MAX).map(({file, line, path, message}) => {
    const place = line === undefined ? file : `${file}:${line}`;
    return `${place}${path === '' ? '' : ` ${path}`}: ${message}`;
  });
  const hidden = problems.length - lines.length;
  return new CodedError(
    'ERR_CONFIG_INVALID',
    [...lines, ...(hidden > 0 ? [`and ${hidden} more`] : [])].join('\n'),
    {
      hint: 'correct what is named; "slipway-cri config --default" prints every key with its meaning',
    },
  );
}
