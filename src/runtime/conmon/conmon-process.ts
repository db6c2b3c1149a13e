import {closeSync, writeSync} from 'node:fs';
import {Socket} from 'node:net';
import {setTimeout as sleep} from 'node:timers/promises';
import {isErrno, messageOf} from '#shared/errors';
import {runtimeEnvironment} from '../oci/runtime-environment.ts';
import {openPipe} from '../process/pipe.ts';
import {type ChildProcess, spawnProcess} from '../process/spawn.ts';
import {
  conmonCommand,
  type ConmonCommandInput,
  START_DESCRIPTOR,
  SYNC_DESCRIPTOR,
} from './conmon-command.ts';
import {conmonFailed} from './conmon-failed.ts';
import {parseSyncReport, SYNC_BYTES_MAX, type SyncReport} from './sync-report.ts';

const STDERR_BYTES_MAX = 64 * 1024;
const STREAM_END_MS = 1_000;
/** conmon forks as soon as it may begin; this is for one that is broken. */
const FORK_TIMEOUT_MS = 2_000;

/** The conmon that was started, and our ends of its pipes; it forks the one that stays. */
export interface Conmon {
  readonly child: ChildProcess;
  readonly sync: Socket;
  readonly errors: Socket;
  /** Takes one byte when conmon may begin. */
  readonly start: number;
}

/** Starts conmon, which waits for its start byte. @throws CodedError ERR_CONMON_FAILED */
export function spawnConmon(input: ConmonCommandInput): Conmon {
  const [sync, start, errors] = [openPipe(), openPipe(), openPipe()];
  try {
    const child = spawnProcess({
      command: conmonCommand(input),
      cwd: input.bundle,
      environment: {
        ...runtimeEnvironment(),
        _OCI_SYNCPIPE: String(SYNC_DESCRIPTOR),
        _OCI_STARTPIPE: String(START_DESCRIPTOR),
      },
      fileDescriptors: {
        2: errors.write,
        [SYNC_DESCRIPTOR]: sync.write,
        [START_DESCRIPTOR]: start.read,
      },
      newProcessGroup: true,
    });
    const reader = (fd: number): Socket => new Socket({fd, readable: true, writable: false});
    return {child, sync: reader(sync.read), errors: reader(errors.read), start: start.write};
  } catch (cause) {
    for (const fd of [sync.read, start.write, errors.read]) closeSync(fd);
    throw conmonFailed(`${input.conmonPath} cannot be started: ${messageOf(cause)}`, cause);
  } finally {
    for (const fd of [sync.write, start.read, errors.write]) closeSync(fd);
  }
}

/** Lets conmon begin; one that has ended already does not mind. */
export function letBegin({start}: Conmon): void {
  try {
    writeSync(start, '\0');
  } catch (error) {
    if (!isErrno(error, 'EPIPE')) throw error;
  }
  closeSync(start);
}

/**
 * Ends a conmon that was not let begin. It is killed first: at the end of its start pipe it would
 * begin as if it had got its byte.
 */
export function dismissConmon({child, start}: Conmon): void {
  child.killGroup('SIGKILL');
  closeSync(start);
}

/**
 * Ends the conmon that was started, not the one that it has forked; waits for that fork, since
 * killed before it has written the other's pid it would leave a monitor that nobody knows.
 */
export async function endConmon({child, sync, errors}: Conmon): Promise<void> {
  const patience = new AbortController();
  const {signal} = patience;
  await Promise.race([
    child.exited,
    sleep(FORK_TIMEOUT_MS, undefined, {signal}).catch(() => undefined),
  ]);
  patience.abort();
  child.killGroup('SIGKILL');
  sync.destroy();
  errors.destroy();
}

/** Reads conmon's first line; never rejects, so that it may be awaited late. */
export async function readReport(sync: Socket): Promise<SyncReport | undefined> {
  let text = '';
  sync.on('error', () => undefined); // a broken pipe ends like any other
  sync.setEncoding('utf8');
  try {
    for await (const chunk of sync) {
      text += String(chunk);
      if (text.includes('\n') || text.length > SYNC_BYTES_MAX) break;
    }
  } catch {
    // What came before counts; without a line the caller reports conmon's error stream.
  }
  return parseSyncReport(text);
}

/** Collects an error stream; the result may be asked for once the writer has ended. */
export function readTail(stream: Socket): () => Promise<string> {
  let text = '';
  const ended = new Promise<void>(resolve => stream.once('close', resolve));
  stream.on('error', () => undefined);
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    text = (text + chunk).slice(-STDERR_BYTES_MAX);
  });
  return async () => {
    const timer = setTimeout(() => stream.destroy(), STREAM_END_MS);
    await ended;
    clearTimeout(timer);
    return text.trim();
  };
}
