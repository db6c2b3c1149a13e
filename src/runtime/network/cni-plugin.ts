import {access, constants} from 'node:fs/promises';
import {join} from 'node:path';
import {z} from 'zod';
import {CodedError, isCoded, messageOf} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import {runCommand} from '../process/run.ts';

export type CniCommand = 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS';

export interface PluginCall {
  readonly command: CniCommand;
  readonly type: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly binDirectories: readonly string[];
  /** Of ADD, DEL and CHECK. */
  readonly attachment?: {
    readonly containerId: string;
    readonly networkNamespace: string;
    readonly interfaceName: string;
    /** `KEY=VALUE;…` */
    readonly arguments: string;
  };
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

const OUTPUT_BYTES_MAX = 1024 * 1024;
const MESSAGE_MAX = 1000;

const pluginError = z.looseObject({
  code: z.number(),
  msg: z.string(),
  details: z.string().optional(),
});

/**
 * Runs one plugin (CNI 1.1.0 §3): configuration on stdin, parameters in the environment.
 *
 * @returns the result of an ADD; undefined when the plugin printed none
 * @throws CodedError ERR_NETWORK_PLUGIN_FAILED with the plugin's own message; the signal's reason
 */
export async function callPlugin(call: PluginCall): Promise<unknown> {
  const {command, type, input, binDirectories, attachment, timeoutMs, signal} = call;
  const program = await findPlugin(type, binDirectories);
  const environment = {
    PATH: process.env['PATH'] ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    CNI_COMMAND: command,
    CNI_PATH: binDirectories.join(':'),
    ...(attachment && {
      CNI_CONTAINERID: attachment.containerId,
      CNI_NETNS: attachment.networkNamespace,
      CNI_IFNAME: attachment.interfaceName,
      CNI_ARGS: attachment.arguments,
    }),
  };
  const result = await run();
  const stdout = Buffer.from(result.stdout).toString();
  if (result.exitCode === 0) return stdout.trim() === '' ? undefined : parseResult(stdout, type);
  throw pluginFailed(
    type,
    command,
    reasonOf(stdout, Buffer.from(result.stderr).toString(), result),
  );

  async function run() {
    try {
      const stdin = JSON.stringify(input);
      const limits = {timeoutMs, maxOutputBytes: OUTPUT_BYTES_MAX, signal};
      return await runCommand({command: [program], environment, input: stdin, ...limits});
    } catch (error) {
      if (signal.aborted) throw error;
      const isSlow = isCoded(error) && error.code === 'ERR_COMMAND_TIMED_OUT';
      const reason = isSlow ? `no answer within ${timeoutMs / 1000} s, killed` : messageOf(error);
      throw pluginFailed(type, command, reason, error);
    }
  }
}

async function findPlugin(type: string, directories: readonly string[]): Promise<string> {
  for (const directory of directories) {
    const path = join(directory, type);
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  throw new CodedError<RuntimeErrorCode>(
    'ERR_NETWORK_PLUGIN_FAILED',
    `the CNI plugin ${type} was not found in ${directories.join(', ')}`,
    {hint: `install ${type} there, or correct the network's configuration`},
  );
}

function parseResult(stdout: string, type: string): unknown {
  try {
    return JSON.parse(stdout) as unknown;
  } catch (error) {
    throw pluginFailed(type, 'ADD', `its result is not JSON: ${stdout.slice(0, 200)}`, error);
  }
}

function reasonOf(stdout: string, stderr: string, {exitCode}: {readonly exitCode: number}): string {
  try {
    const {msg, details} = pluginError.parse(JSON.parse(stdout));
    return details === undefined || details === '' ? msg : `${msg}; ${details}`;
  } catch {
    const said = stderr.trim() === '' ? stdout.trim() : stderr.trim();
    return said === '' ? `it ended with ${exitCode}` : said;
  }
}

function pluginFailed(type: string, command: CniCommand, reason: string, cause?: unknown) {
  return new CodedError<RuntimeErrorCode>(
    'ERR_NETWORK_PLUGIN_FAILED',
    `CNI ${command} by the plugin ${type} failed: ${reason.slice(0, MESSAGE_MAX)}`,
    {hint: "look at the network's own pods and configuration; it is tried again", cause},
  );
}
