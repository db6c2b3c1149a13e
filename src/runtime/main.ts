import {runCommandLine} from './cli/command-line.ts';
import {runDaemon, type Surroundings} from './run-daemon.ts';

process.stdout.on('error', endQuietly);
process.exitCode = await runCommandLine(process.argv.slice(2), {
  runDaemon: async sources => {
    process.umask(0o022); // files for containers have the modes we say
    // Only here: commands start in half the time without the daemon's parts.
    const [{startDaemon}, {notifySystemd}] = await Promise.all([
      import('./daemon.ts'),
      import('./sys/socket.ts'),
    ]);
    await runDaemon(sources, startDaemon, daemonSurroundings(notifySystemd));
    process.exit(0); // whatever still waits (a pull, a stop) is taken up after the next start
  },
  output: {
    write: data => process.stdout.write(data),
    writeError: data => process.stderr.write(data),
  },
  stdin: process.stdin,
  interrupted: () => {
    const controller = new AbortController();
    for (const name of ['SIGTERM', 'SIGINT'] as const) {
      process.once(name, () => {
        controller.abort(new Error(`${name} was received`));
      });
    }
    return controller.signal;
  },
});

function daemonSurroundings(notify: Surroundings['notify']): Surroundings {
  const ending = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => {
      if (ending.signal.aborted) process.exit(130); // asked twice: at once
      ending.abort(new Error(`${name} was received`));
    });
  }
  let reload = (): void => undefined; // while it starts, what it reads is new anyway
  process.on('SIGHUP', () => {
    reload();
  });
  return {
    isRoot: process.getuid?.() === 0,
    path: process.env['PATH'] ?? '',
    priorities: process.env['JOURNAL_STREAM'] !== undefined,
    write: line => process.stderr.write(line),
    notify,
    ending: ending.signal,
    onReload: next => {
      reload = next;
    },
  };
}

/** The reader of a pipe has had enough (`slipway-cri ps | head -1`). */
function endQuietly(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
}
