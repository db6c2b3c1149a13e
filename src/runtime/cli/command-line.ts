import {connectCri} from '../client/connect.ts';
import {formatConfig, formatDefaultConfig} from '../config/document.ts';
import {loadConfig, readConfig, type ConfigSources} from '../config/load.ts';
import {parseArguments, type Arguments, type CommandName} from './arguments.ts';
import type {Command} from './context.ts';
import {execCommand} from './exec.ts';
import {reportFailure} from './failure.ts';
import {HELP} from './help.ts';
import {importCommand, pullCommand, removeImageCommand} from './images.ts';
import {infoCommand} from './info.ts';
import {inspectCommand} from './inspect.ts';
import {imagesCommand, podsCommand, psCommand, statsCommand} from './list.ts';
import {logsCommand} from './logs.ts';
import type {Output} from './output.ts';
import {removeCommand, stopCommand} from './remove.ts';
import {resetCommand} from './reset.ts';
import {smokeCommand} from './smoke.ts';
import {formatVersion} from './version.ts';

/** What the process gives to the program. */
export interface Process {
  /** Runs the daemon until it is told to end. */
  readonly runDaemon: (sources: ConfigSources) => Promise<void>;
  readonly output: Output;
  readonly stdin: AsyncIterable<Uint8Array>;
  /** Aborts on SIGINT and SIGTERM; the daemon has signals of its own. */
  readonly interrupted: () => AbortSignal;
}

/** Commands that talk to the daemon. */
const commands: Readonly<
  Record<Exclude<CommandName, 'daemon' | 'config' | 'version' | 'help'>, Command>
> = {
  info: infoCommand,
  ps: psCommand,
  pods: podsCommand,
  images: imagesCommand,
  stats: statsCommand,
  inspect: inspectCommand,
  logs: logsCommand,
  exec: execCommand,
  pull: pullCommand,
  'image import': importCommand,
  'image remove': removeImageCommand,
  stop: stopCommand,
  rm: removeCommand,
  smoke: smokeCommand,
  reset: resetCommand,
};

/** The whole program: what follows `slipway-cri` in, exit code out. */
export async function runCommandLine(argv: readonly string[], process: Process): Promise<number> {
  try {
    return await dispatch(parseArguments(argv), process);
  } catch (error) {
    return reportFailure(error, process.output);
  }
}

async function dispatch(given: Arguments, process: Process): Promise<number> {
  const {command, options, words, sources} = given;
  const {output, stdin} = process;
  switch (command) {
    case 'daemon':
      await process.runDaemon(sources);
      return 0;
    case 'help':
      output.write(HELP);
      return 0;
    case 'version':
      output.write(await formatVersion());
      return 0;
    case 'config':
      output.write(
        options.default ? formatDefaultConfig() : formatConfig(await readConfig(sources)),
      );
      return 0;
    default: {
      const socket = options.socket ?? (await loadConfig(sources)).socket;
      const client = connectCri(socket);
      const signal = process.interrupted();
      try {
        const context = {client, words, options, output, stdin, signal, nowMs: Date.now()};
        return await commands[command](context);
      } catch (error) {
        return reportFailure(error, output, {socket, interrupted: signal.aborted});
      } finally {
        client.close();
      }
    }
  }
}
