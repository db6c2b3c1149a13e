import type {TerminalSize} from '../sys/terminal.ts';
import {keepExactNumbers} from './exact-numbers.ts';

/** What an exec'd process differs in from the container's own. */
export interface ExecProcess {
  readonly command: readonly string[];
  readonly terminal: boolean;
  /** The terminal's size at the beginning; only with a terminal. */
  readonly size?: TerminalSize | undefined;
}

/** The OCI process object, of which only these are looked at; the rest is handed on. */
interface ProcessObject extends Readonly<Record<string, unknown>> {
  readonly env?: readonly string[];
}

/**
 * The process specification for an exec: the container's own process (user, capabilities,
 * environment, working directory, limits, seccomp) with another command.
 *
 * @param config the container's config.json. Numbers that JavaScript cannot hold exactly
 *   (RLIM_INFINITY is 2^64 − 1) are carried over digit by digit.
 */
export function execProcessSpec(config: string, {command, terminal, size}: ExecProcess): string {
  const {process} = JSON.parse(config, keepExactNumbers) as {readonly process: ProcessObject};
  const {env = []} = process;
  const hasTerm = env.some(variable => variable.startsWith('TERM='));
  const spec: Record<string, unknown> = {...process, args: command, terminal};
  if (terminal && !hasTerm) spec['env'] = [...env, 'TERM=xterm'];
  delete spec['consoleSize']; // the size of the container's own terminal
  if (size !== undefined) spec['consoleSize'] = {height: size.rows, width: size.columns};
  return JSON.stringify(spec);
}
