/**
 * The environment of OCI runtimes and of conmon: nothing of the daemon's own but its PATH.
 *
 * Above all not NOTIFY_SOCKET, which a runtime would take for the container's: the container
 * would then tell systemd that the daemon is ready.
 */
export function runtimeEnvironment(): Readonly<Record<string, string>> {
  return {
    PATH: process.env['PATH'] ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  };
}
