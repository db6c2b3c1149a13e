import {type FSWatcher, mkdirSync, watch} from 'node:fs';
import {readdir, rm} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {messageOf} from '#shared/errors';
import type {Log} from '#shared/log';
import {type ContainerExit, readExitFile} from './exit-file.ts';

/** How often the folder is read where the kernel gives no notice (inotify's limits are reached). */
const RESCAN_MS = 1_000;
const ID = /^[0-9A-Za-z_-]{1,128}$/; // conmon's temporary files have a dot

export interface ExitWatcher {
  /** Settles when the containers that had ended before the watch are reported. */
  readonly ready: Promise<void>;
  /**
   * Removes a container's file, once its exit is recorded elsewhere. Until then a restarted
   * daemon reports the exit again.
   */
  readonly forget: (id: string) => Promise<void>;
  readonly close: () => void;
}

/**
 * Reports the containers that end: conmon drops a file for each into one folder.
 *
 * Nothing is lost over a restart: the files stay until `forget`, and the folder is read once the
 * watch stands.
 *
 * @param directory conmon's `--exit-dir`; made when missing
 * @param onExit called once for each container, in no particular order
 */
export function watchExits(
  directory: string,
  onExit: (id: string, exit: ContainerExit) => void,
  {log}: {readonly log?: Pick<Log, 'warn'>} = {},
): ExitWatcher {
  const reported = new Set<string>();
  let isClosed = false;

  const report = async (id: string): Promise<void> => {
    if (!ID.test(id) || reported.has(id)) return;
    const exit = await readExitFile(join(directory, id));
    if (exit === undefined || isClosed || reported.has(id)) return;
    reported.add(id);
    onExit(id, exit);
  };
  const scan = async (): Promise<void> => {
    try {
      for (const id of await readdir(directory)) await report(id);
    } catch (error) {
      log?.warn('exits cannot be read', {directory, error: messageOf(error)});
    }
  };

  mkdirSync(directory, {recursive: true, mode: 0o700});
  const notices = watchOrPoll(directory, {
    onChange: name => {
      // The folder's own name: it was removed, which scan reports. monitors.ts finds the ends then.
      if (name === null || name === basename(directory)) void scan();
      else report(name).catch(() => void scan()); // scan says what is wrong
    },
    onBlind: error => {
      log?.warn('exits are looked for every second: their folder cannot be watched', {
        directory,
        error: messageOf(error),
      });
    },
  });
  return {
    ready: scan(),
    forget: async id => {
      await rm(join(directory, id), {force: true});
      reported.delete(id);
    },
    close: () => {
      isClosed = true;
      notices.close();
    },
  };
}

interface Notices {
  /** @param name the file that changed; `null`: any may have */
  readonly onChange: (name: string | null) => void;
  /** Called once when the kernel gives no notice, or stops to. */
  readonly onBlind: (error: unknown) => void;
}

function watchOrPoll(directory: string, {onChange, onBlind}: Notices): {close: () => void} {
  let watcher: FSWatcher | undefined;
  let timer: NodeJS.Timeout | undefined;
  const poll = (error: unknown): void => {
    watcher?.close();
    if (timer !== undefined) return;
    onBlind(error);
    timer = setInterval(() => {
      onChange(null);
    }, RESCAN_MS);
  };
  try {
    watcher = watch(directory, (_event, name) => {
      onChange(name);
    });
    watcher.on('error', poll);
  } catch (error) {
    poll(error); // EMFILE, ENOSPC: fs.inotify.max_user_instances, max_user_watches
  }
  return {
    close: () => {
      watcher?.close();
      clearInterval(timer);
    },
  };
}
