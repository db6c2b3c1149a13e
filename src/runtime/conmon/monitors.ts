import {join} from 'node:path';
import {isAlive as isProcessAlive, type ProcessIdentity} from '../sys/processes.ts';
import {type ContainerExit, EXIT_CODE_UNKNOWN, readExitFile} from './exit-file.ts';

/** conmon rarely dies, and 100 looks cost 2 ms. */
const MONITOR_LOOK_MS = 10_000;
/** A container without conmon is looked at as often as a kubelet lists containers. */
const ORPHAN_LOOK_MS = 1_000;

/** A running container as recorded when it was created. */
export interface MonitoredContainer {
  readonly id: string;
  readonly pid: number;
  readonly pidStartTime: string;
  readonly conmonPid: number;
  readonly conmonStartTime: string;
  readonly persistDirectory: string;
}

export interface WatchMonitorsOptions {
  /** The containers whose end is not recorded yet. */
  readonly containers: () => Iterable<MonitoredContainer>;
  /**
   * conmon was killed under a running container: its log has ended, writes to its output fail,
   * and its exit code will be lost. Called once for each container.
   */
  readonly onLost: (id: string) => void;
  /**
   * Such a container has ended. Exit code 255 unless conmon had written another. Called again at
   * each look for as long as `containers` names it: a record that failed is tried again.
   */
  readonly onExit: (id: string, exit: ContainerExit) => void;
  /** For tests. */
  readonly isAlive?: (process: ProcessIdentity) => boolean;
  readonly now?: () => Date;
}

export interface MonitorWatch {
  /** Looks at once; the timer does this. */
  readonly look: () => Promise<void>;
  readonly close: () => void;
}

/**
 * Finds containers whose conmon was killed, which is the one way in which an end goes unreported.
 *
 * conmon writes the exit file before it ends; so a dead conmon without that file was killed.
 */
export function watchMonitors(options: WatchMonitorsOptions): MonitorWatch {
  const {containers, onLost, onExit, isAlive = isProcessAlive, now = () => new Date()} = options;
  const lost = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;

  const lookAt = async (container: MonitoredContainer): Promise<void> => {
    const {id, pid, pidStartTime, conmonPid, conmonStartTime, persistDirectory} = container;
    if (isAlive({pid: conmonPid, startTime: conmonStartTime})) return;
    const exit = await readExitFile(join(persistDirectory, 'exit'));
    if (exit === undefined && isAlive({pid, startTime: pidStartTime})) {
      if (!lost.has(id)) onLost(id);
      lost.add(id);
      return;
    }
    const finishedAt = BigInt(now().getTime()) * 1_000_000n;
    onExit(id, exit ?? {exitCode: EXIT_CODE_UNKNOWN, finishedAt});
  };
  const look = async (): Promise<void> => {
    const present = [...containers()];
    for (const container of present) {
      if (!isClosed) await lookAt(container);
    }
    const ids = new Set(present.map(({id}) => id));
    for (const id of lost) if (!ids.has(id)) lost.delete(id);
  };
  const schedule = (): void => {
    if (isClosed) return;
    const delayMs = lost.size > 0 ? ORPHAN_LOOK_MS : MONITOR_LOOK_MS;
    timer = setTimeout(() => void look().finally(schedule), delayMs);
    timer.unref();
  };
  schedule();
  return {
    look,
    close: () => {
      isClosed = true;
      clearTimeout(timer);
    },
  };
}
