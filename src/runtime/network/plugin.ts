import {constants} from 'node:fs';
import {access, stat} from 'node:fs/promises';
import {delimiter, join} from 'node:path';
import {CodedError, isErrno} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import {runCommand} from '../process/run.ts';
import {isRecord} from './configuration.ts';
import type {CniResult} from './result.ts';

export type CniCommand = 'ADD' | 'DEL' | 'STATUS' | 'GC';

export interface PluginCall {
  readonly command: CniCommand;
  readonly type: string;
  readonly binDirectories: readonly string[];
  /** `CNI_…` variables without their prefix, e.g. `CONTAINERID`. */
  readonly variables: Readonly<Record<string, string>>;
  /** What the plugin reads on standard input. */
  readonly input: object;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Its own limit: a result is a few hundred bytes, a trace on stderr perhaps more. */
const OUTPUT_BYTES_MAX = 1024 * 1024;
const REPORTED_BYTES_MAX = 2_048;
/** What concerns the daemon's own unit is not handed on. */
const NOT_INHERITED = /^(NOTIFY_SOCKET|WATCHDOG_.*|LISTEN_.*|INVOCATION_ID|CNI_.*)$/;

/**
 * Calls one plugin, as CNI 1.1 "Execution Protocol" has it.
 *
 * @returns its result; an empty object for commands without one
 * @throws CodedError `ERR_NETWORK_PLUGIN_FAILED`: it is missing, failed, answered no JSON, or was
 *   killed after `timeoutMs`; the signal's reason when aborted
 */
export async function callPlugin(call: PluginCall): Promise<CniResult> {
  const {command, type, binDirectories, variables, input, timeoutMs, signal} = call;
  const program = await findPlugin(type, binDirectories);
  if (program === undefined) throw missingPlugin(type, binDirectories);
  const environment = {
    ...inherited(),
    CNI_COMMAND: command,
    CNI_PATH: binDirectories.join(delimiter),
    ...Object.fromEntries(Object.entries(variables).map(([key, value]) => [`CNI_${key}`, value])),
  };
  try {
    const {exitCode, stdout, stderr, truncated} = await runCommand({
      command: [program],
      environment,
      cwd: '/',
      input: JSON.stringify(input),
      timeoutMs,
      maxOutputBytes: OUTPUT_BYTES_MAX,
      signal,
    });
    const output = parseOutput(stdout);
    if (exitCode !== 0) throw failed(call, describeFailure(exitCode, output, stdout, stderr));
    if (command === 'ADD' && (output === undefined || truncated)) {
      throw failed(call, `it answered no result but ${excerpt(stdout)}`);
    }
    return output ?? {};
  } catch (error) {
    if (isTimeOut(error)) throw failed(call, `it was killed after ${timeoutMs / 1_000} s`, error);
    throw error;
  }
}

/** The first of the directories that has an executable of this name. */
export async function findPlugin(
  type: string,
  binDirectories: readonly string[],
): Promise<string | undefined> {
  for (const directory of binDirectories) {
    const path = join(directory, type);
    try {
      await access(path, constants.X_OK);
      if ((await stat(path)).isFile()) return path;
    } catch (error) {
      const isAbsent = ['ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP'].some(code => isErrno(error, code));
      if (!isAbsent) throw error;
    }
  }
  return undefined;
}

export function missingPlugin(
  type: string,
  binDirectories: readonly string[],
): CodedError<RuntimeErrorCode> {
  return new CodedError(
    'ERR_NETWORK_PLUGIN_FAILED',
    `no network plugin "${type}" in ${binDirectories.join(', ')}`,
    {hint: 'install the CNI plugins, or set cni.bin_directories'},
  );
}

function inherited(): Record<string, string> {
  const entries = Object.entries(process.env).filter(([name]) => !NOT_INHERITED.test(name));
  return Object.fromEntries(entries) as Record<string, string>;
}

function parseOutput(stdout: Uint8Array): CniResult | undefined {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(stdout).toString());
    return isRecord(parsed) ? parsed : undefined;
  } catch {
    return undefined; // Reported with the output itself by the caller.
  }
}

/** CNI 1.1 "Error": `{code, msg, details}` on standard output. */
function describeFailure(
  exitCode: number,
  output: CniResult | undefined,
  stdout: Uint8Array,
  stderr: Uint8Array,
): string {
  const message = output?.['msg'];
  if (typeof message !== 'string') {
    return `exit code ${exitCode}: ${excerpt(stderr.length > 0 ? stderr : stdout)}`;
  }
  const code = output?.['code'];
  const details = output?.['details'];
  const more = typeof details === 'string' && details !== '' ? ` (${details})` : '';
  const prefix = typeof code === 'number' ? `error ${code}: ` : '';
  return `${prefix}${message}${more}`.slice(0, REPORTED_BYTES_MAX);
}

function excerpt(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.subarray(0, REPORTED_BYTES_MAX)).toString().trim();
  return text === '' ? 'nothing' : JSON.stringify(text);
}

function failed(
  {type, command}: PluginCall,
  problem: string,
  cause?: unknown,
): CodedError<RuntimeErrorCode> {
  return new CodedError(
    'ERR_NETWORK_PLUGIN_FAILED',
    `network plugin ${type} ${command}: ${problem}`,
    {
      hint: `look at the configuration and the log of the plugin ${type}`,
      cause,
    },
  );
}

function isTimeOut(error: unknown): boolean {
  return error instanceof CodedError && error.code === 'ERR_COMMAND_TIMED_OUT';
}
