// The process that unpacks layers, beside the daemon: verifying and writing a layer keeps a core
// busy for seconds, and its memory (some 100 MB) goes back to the system when the process ends.
// It does one job after the other until its standard input ends, which it also does when the
// daemon dies. A failed layer ends it: what is left of its bytes would be read as the next job.
import {closeSync} from 'node:fs';
import {messageOf, isCoded, isErrno} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import {endOomProtection} from '../process/oom-protection.ts';
import {openDirectory, syncfs} from '../sys/files.ts';
import {InputReader} from './input-reader.ts';
import {emptyDirectory} from './remove-tree.ts';
import {settleLayer} from './settle-layer.ts';
import type {UnpackAnswer, UnpackFailure, UnpackJob} from './unpack-job.ts';
import {unpackLayer} from './unpack-layer.ts';

const NOTHING_MADE = {
  kind: 'done',
  sizeBytes: 0,
  diskBytes: 0,
  inodes: 0,
  isPending: false,
} as const;

endOomProtection(); // what an archive makes it need must not cost other processes their life
process.umask(0); // modes come from archives
await run();

async function run(): Promise<void> {
  const input = new InputReader(process.stdin);
  for (let line = await input.line(); line !== undefined; line = await input.line()) {
    const answer = await answerTo(JSON.parse(line) as UnpackJob, input);
    await new Promise(resolve => process.stdout.write(`${JSON.stringify(answer)}\n`, resolve));
    if (answer.kind === 'failed') break;
  }
  process.exit();
}

async function answerTo(job: UnpackJob, input: InputReader): Promise<UnpackAnswer> {
  try {
    switch (job.kind) {
      case 'layer':
        return await unpackLayer(job, input.bytes(job.sizeBytes));
      case 'settle':
        return settleLayer(job);
      case 'sync':
        return withDirectory(job.directory, syncfs);
      case 'remove':
        return withDirectory(job.directory, emptyDirectory);
    }
  } catch (error) {
    return {kind: 'failed', failure: failureOf(error)};
  }
}

function withDirectory(path: string, work: (fd: number) => void): UnpackAnswer {
  const fd = openDirectory(path);
  try {
    work(fd);
  } finally {
    closeSync(fd);
  }
  return NOTHING_MADE;
}

function failureOf(error: unknown): UnpackFailure {
  if (isCoded(error)) {
    const code = error.code as RuntimeErrorCode; // the worker throws no others
    return {code, message: error.message, hint: error.hint};
  }
  const message = `the layer cannot be written: ${messageOf(error)}`;
  if (isErrno(error, 'ENOSPC') || isErrno(error, 'EDQUOT')) {
    return {code: 'ERR_DISK_FULL', message, hint: 'remove images or enlarge the file system'};
  }
  return {message, hint: ''};
}
