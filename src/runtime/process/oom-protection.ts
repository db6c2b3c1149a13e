import {readFileSync, writeFileSync} from 'node:fs';
import {isErrno} from '#shared/errors';

/**
 * Makes this process as likely as any other to be ended when memory runs out, where it has inherited
 * a protection (proc(5), oom_score_adj). Nobody needs a capability for that.
 */
export function endOomProtection(path = '/proc/self/oom_score_adj'): void {
  try {
    if (Number(readFileSync(path, 'utf8')) < 0) writeFileSync(path, '0');
  } catch (error) {
    // In a container whose /proc is read-only or not there, the work goes on all the same.
    if (!isErrno(error, 'ENOENT') && !isErrno(error, 'EROFS') && !isErrno(error, 'EACCES')) {
      throw error;
    }
  }
}
