import {Readable} from 'node:stream';
import type {ExecutionContext} from 'ava';
import {runCommandLine} from '#runtime/cli/command-line';
import {serveCri, type Answers} from './cri-service.ts';

export interface CommandRun {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `slipway-cri` commands, in this process, against a daemon that answers as given. */
export async function commandsOf(
  t: ExecutionContext,
  answers: Answers,
): Promise<(words: readonly string[], stdin?: string) => Promise<CommandRun>> {
  const {socket} = await serveCri(t, answers);
  return (words, stdin = '') => runCommand([...words, '--socket', socket], stdin);
}

/** One run of `slipway-cri` in this process. */
export async function runCommand(
  words: readonly string[],
  stdin = '',
  signal: AbortSignal = new AbortController().signal,
): Promise<CommandRun> {
  const stdout: Uint8Array[] = [];
  const stderr: Uint8Array[] = [];
  // `--socket` has to come before `exec ID`, whose words are the command's
  const at = words.indexOf('--socket');
  const argv = at < 0 ? words : [...words.slice(at), ...words.slice(0, at)];
  const exitCode = await runCommandLine(argv, {
    runDaemon: () => Promise.resolve(),
    output: {
      write: data => stdout.push(Buffer.from(data as string)),
      writeError: data => stderr.push(Buffer.from(data as string)),
    },
    stdin: Readable.from([Buffer.from(stdin)]),
    interrupted: () => signal,
  });
  const [out, err] = [stdout, stderr].map(parts => Buffer.concat(parts).toString());
  return {exitCode, stdout: out ?? '', stderr: err ?? ''};
}
