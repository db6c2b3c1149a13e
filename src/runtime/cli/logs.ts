import {open, type FileHandle} from 'node:fs/promises';
import {CodedError, isErrno, messageOf} from '#shared/errors';
import {waitFor} from '#shared/wait-for';
import {ContainerState} from '../cri/gen/cri-v1_pb.ts';
import type {CommandErrorCode} from '../errors.ts';
import {usage} from './arguments.ts';
import type {CommandContext} from './context.ts';
import {findById} from './find.ts';
import {queryLimits} from './limits.ts';
import {LogPrinter} from './log-printer.ts';

/** A log may be followed for ever; something has to end the wait for its next line. */
const FOLLOW_MS_MAX = 2 ** 31 - 1;
const FOLLOW_INTERVAL_MS = 200;
const READ_BYTES = 256 * 1024;

/** Prints a container's log, from the file that the kubelet reads too. */
export async function logsCommand(context: CommandContext): Promise<number> {
  const {client, words, options, output} = context;
  const [word, ...more] = words;
  if (word === undefined || more.length > 0) throw usage('logs takes one id');
  const found = await findById(client, word, queryLimits(context));
  if (found.kind === 'pod')
    throw usage(`${word} is a pod`, 'name one of its containers: slipway-cri ps -a');
  const path = found.answer.status?.logPath ?? '';
  if (path === '') throw unreadable(word, 'it has no log file');
  const printer = new LogPrinter(output, options);
  let file = await openLog(path, word);
  try {
    await printRest(file, printer);
    printer.printTail();
    if (options.follow) file = await follow({context, id: found.id, path, file, printer});
  } finally {
    await file.close();
  }
  return 0;
}

interface Following {
  readonly context: CommandContext;
  readonly id: string;
  readonly path: string;
  readonly file: FileHandle;
  readonly printer: LogPrinter;
}

/** Prints what is added until the container has ended; a rotated log is opened anew. */
async function follow({context, id, path, file, printer}: Following): Promise<FileHandle> {
  const {client, signal} = context;
  let current = file;
  await waitFor(
    async () => {
      const {status} = await client.runtime.containerStatus(
        {containerId: id},
        queryLimits(context),
      );
      await printRest(current, printer);
      current = await reopenRotated(current, path, printer);
      return status?.state === ContainerState.CONTAINER_RUNNING ? undefined : true;
    },
    {signal, timeoutMs: FOLLOW_MS_MAX, intervalMs: FOLLOW_INTERVAL_MS},
  );
  return current;
}

async function reopenRotated(
  file: FileHandle,
  path: string,
  printer: LogPrinter,
): Promise<FileHandle> {
  const next = await open(path).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return undefined; // between the two steps of a rotation
    throw error;
  });
  if (next === undefined) return file;
  const [before, after] = await Promise.all([file.stat(), next.stat()]);
  if (before.ino === after.ino) {
    await next.close();
    return file;
  }
  await printRest(file, printer); // what came between the last look and the rotation
  await file.close();
  await printRest(next, printer);
  return next;
}

async function printRest(file: FileHandle, printer: LogPrinter): Promise<void> {
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  for (;;) {
    const {bytesRead} = await file.read(buffer, 0, READ_BYTES);
    if (bytesRead === 0) return;
    printer.add(buffer.subarray(0, bytesRead));
  }
}

async function openLog(path: string, word: string): Promise<FileHandle> {
  try {
    return await open(path);
  } catch (cause) {
    throw unreadable(word, messageOf(cause), cause);
  }
}

function unreadable(id: string, why: string, cause?: unknown): CodedError<CommandErrorCode> {
  return new CodedError('ERR_LOG_UNREADABLE', `cannot read the log of ${id}: ${why}`, {
    hint: 'run this on the host of the daemon, as root',
    cause,
  });
}
