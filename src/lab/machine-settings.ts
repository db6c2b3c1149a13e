import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {writeFileAtomic} from '#shared/files';
import {LAB_RUN_FOLDER} from './lock.ts';

const INOTIFY_INSTANCES = '/proc/sys/fs/inotify/max_user_instances';
/** Ten idle hosts take 97, and Debian allows 128 per user on the whole machine. */
const INOTIFY_INSTANCES_MIN = 8_192;
const BEFORE_FILE = join(LAB_RUN_FOLDER, 'inotify-instances-before');

/** Raises the one kernel setting of the machine that hosts cannot have for themselves. */
export async function raiseInotifyLimit(): Promise<void> {
  const before = await readFile(INOTIFY_INSTANCES, 'utf8');
  if (Number(before) >= INOTIFY_INSTANCES_MIN) return;
  await writeFileAtomic(BEFORE_FILE, before);
  await writeFile(INOTIFY_INSTANCES, String(INOTIFY_INSTANCES_MIN));
}

/** Puts the setting back, unless someone else has changed it since. */
export async function restoreInotifyLimit(): Promise<void> {
  const before = await readFile(BEFORE_FILE, 'utf8').catch(() => undefined); // was not raised
  if (before === undefined) return;
  if (Number(await readFile(INOTIFY_INSTANCES, 'utf8')) !== INOTIFY_INSTANCES_MIN) return;
  await writeFile(INOTIFY_INSTANCES, before.trim());
}
