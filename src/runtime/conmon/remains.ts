import {readFileSync, rmSync} from 'node:fs';
import {rm, stat} from 'node:fs/promises';
import {join} from 'node:path';
import type {OciRuntime} from '../oci/oci-runtime.ts';
import {killProcess} from '../sys/processes.ts';
import {type ConmonCommandInput, conmonFiles} from './conmon-command.ts';
import {conmonFailed} from './conmon-failed.ts';

/** What a creation works on. */
export type Creation = Pick<
  ConmonCommandInput,
  'id' | 'bundle' | 'logPath' | 'persistDirectory' | 'exitsDirectory'
> & {readonly runtime: Pick<OciRuntime, 'delete'>};

/** Undoes a creation that failed anywhere; each step is tried, none may hide the failure. */
export async function removeRemains(input: Creation): Promise<void> {
  const {runtime, id, bundle} = input;
  killMonitor(input); // first: a live conmon would report the end of what is deleted next
  await runtime.delete(id, {force: true}).catch(() => undefined); // the cause is being reported
  removeMeetingPoints(bundle);
  const exits = [join(input.persistDirectory, 'exit'), join(input.exitsDirectory, id)];
  await Promise.all([...exits.map(async path => rm(path, {force: true})), removeEmptyLog(input)]);
}

/** Kills conmon and the runtime below it; conmon leads a session of its own. */
function killMonitor({id, bundle}: Creation): void {
  try {
    const pid = readPid(join(bundle, conmonFiles.monitorPid));
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    if (words.includes(id)) killProcess(-pid, 'SIGKILL');
  } catch {
    // No pid file or no such process: nothing to kill.
  }
}

/** conmon makes the log before the container, which has written nothing if it never began. */
export async function removeEmptyLog({logPath}: Creation): Promise<void> {
  const log = await stat(logPath).catch(() => undefined);
  if (log?.isFile() === true && log.size === 0) await rm(logPath, {force: true});
}

/** Removes what conmon and the runtime made in the bundle; synchronous: it is on tmpfs. */
export function removeMeetingPoints(bundle: string): void {
  for (const file of Object.values(conmonFiles)) rmSync(join(bundle, file), {force: true});
}

/** @throws CodedError ERR_CONMON_FAILED when the file holds something else */
export function readPid(path: string): number {
  const text = readFileSync(path, 'utf8').trim();
  if (!/^[1-9][0-9]{0,9}$/.test(text)) {
    throw conmonFailed(`${path} should hold a pid, and holds ${JSON.stringify(text.slice(0, 40))}`);
  }
  return Number(text);
}
