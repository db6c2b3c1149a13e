import {existsSync} from 'node:fs';
import {join} from 'node:path';
import {PENDING_FILE, type SettleJob, type UnpackDone} from './unpack-job.ts';

export function settleLayer(job: SettleJob): UnpackDone {
  if (existsSync(join(job.directory, PENDING_FILE))) {
    // next
  }
  return {kind: 'done', sizeBytes: 0, diskBytes: 0, inodes: 0, isPending: false};
}
