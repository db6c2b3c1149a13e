import type {OciRuntime} from '../oci/oci-runtime.ts';

/** Where conmon and the daemon meet, inside a container's bundle folder. */
export const conmonFiles = {
  /** conmon's own pid. */
  monitorPid: 'conmon-pidfile',
  /** The container's first process, as the runtime writes it. */
  pid: 'pidfile',
  /** SOCK_SEQPACKET socket of attached clients. */
  attach: 'attach',
  /** FIFO that takes commands: resize, reopen the log. */
  control: 'ctl',
  /** FIFO for sizes of the terminal, older than `ctl`; conmon makes it, nobody uses it. */
  size: 'winsz',
} as const;

/** Descriptors that conmon inherits besides its standard streams. */
export const SYNC_DESCRIPTOR = 3;
export const START_DESCRIPTOR = 4;

export interface ConmonCommandInput {
  readonly conmonPath: string;
  readonly runtime: Pick<OciRuntime, 'path' | 'globalArguments' | 'systemdCgroup'>;
  readonly id: string;
  /** What the journal calls the container. */
  readonly name: string;
  readonly bundle: string;
  /** Absolute path of the log file; `/dev/null`: no log. */
  readonly logPath: string;
  /** Gets `exit` and `oom` when the container ends; outlives the daemon, not a reboot. */
  readonly persistDirectory: string;
  /** Gets a file named after the container after that. */
  readonly exitsDirectory: string;
  readonly terminal: boolean;
  readonly stdin: boolean;
  /** Keep standard input open when the first attached client has gone. */
  readonly leaveStdinOpen: boolean;
  /** Bytes; the log starts anew, its content lost, when the next write would exceed it. */
  readonly logSizeMax?: number;
}

/**
 * The command line of conmon for one container, with options that conmon 2.1.6 (Debian 12) has.
 *
 * `--full-attach` keeps the attach socket in the bundle, however long its path is; the link in a
 * socket folder that conmon makes otherwise is left behind by 2.1.6. `--no-sync-log` because
 * before 2.1.13 conmon calls fsync when a log is reopened, and the container's output waits.
 */
export function conmonCommand(input: ConmonCommandInput): readonly string[] {
  const {runtime, id, bundle, logSizeMax} = input;
  const command = [input.conmonPath, '--cid', id, '--cuuid', id, '--name', input.name];
  command.push('--bundle', bundle, '--full-attach');
  command.push('--conmon-pidfile', `${bundle}/${conmonFiles.monitorPid}`);
  command.push('--container-pidfile', `${bundle}/${conmonFiles.pid}`);
  command.push('--persist-dir', input.persistDirectory, '--exit-dir', input.exitsDirectory);
  // conmon replaces a log that is full by rename: never let it do that to a device.
  const log = input.logPath === '/dev/null' ? 'none' : `k8s-file:${input.logPath}`;
  command.push('--log-path', log, '--no-sync-log', '--log-level', 'error');
  if (logSizeMax !== undefined) command.push('--log-size-max', String(logSizeMax));
  command.push('--runtime', runtime.path);
  for (const argument of runtime.globalArguments) command.push('--runtime-arg', argument);
  if (runtime.systemdCgroup) command.push('--systemd-cgroup');
  if (input.terminal) command.push('--terminal');
  else if (input.stdin) command.push('--stdin');
  if (input.stdin && input.leaveStdinOpen) command.push('--leave-stdin-open');
  return command;
}
