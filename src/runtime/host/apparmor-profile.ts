/** Name of the profile that containers with RuntimeDefault get. */
export const APPARMOR_DEFAULT_PROFILE = 'slipway-default';

/**
 * The text of the default profile, for `apparmor_parser`: what other runtimes forbid in theirs
 * (CRI-O, containerd and Docker share one), in rules of our own. Everything is allowed that
 * capabilities and the filter of system calls allow, but mounts, tracing from inside to outside,
 * and writing to the kernel's files.
 *
 * @param hasAbi whether the machine has the definitions of ABI 3.0: since 4.0 a rule `network` does
 *   not hold for Unix sockets any more, and kinds of rules that nobody here has written forbid
 */
export function apparmorProfile({hasAbi}: {readonly hasAbi: boolean}): string {
  return `${hasAbi ? 'abi <abi/3.0>,\n' : ''}
profile ${APPARMOR_DEFAULT_PROFILE} flags=(attach_disconnected,mediate_deleted) {
  network,
  unix,
  capability,
  file,
  umount,

  # The daemon and the OCI runtime stop containers; some distributions confine the runtimes.
  signal (receive) peer=unconfined,
  signal (receive) peer=runc,
  signal (receive) peer=crun,
  signal (send, receive) peer=${APPARMOR_DEFAULT_PROFILE},

  # Monitors of the host may look in; nobody here looks out.
  ptrace (readby, tracedby),
  ptrace (read, trace) peer=${APPARMOR_DEFAULT_PROFILE},

  deny mount,

  # Of /proc: the folders of processes, and of sys only what belongs to the IPC namespace.
  deny /proc/* w,
  deny /proc/[^1-9s]*/** w,
  deny /proc/s[^y]*/** w,
  deny /proc/sy[^s]*/** w,
  deny /proc/sys?*/** w,
  deny /proc/sys/[^k]** w,
  deny /proc/sys/kernel/[^s]** w,
  deny /proc/sys/kernel/s[^h]** w,
  deny /proc/sys/kernel/sh[^m]** w,
  deny /proc/{kcore,sysrq-trigger} rwklx,

  # Of /sys: cgroups only.
  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/fs/c[^g]*/** wklx,
  deny /sys/fs/cg[^r]*/** wklx,
  deny /sys/{firmware,kernel/security,devices/virtual/powercap}/** rwklx,
}
`;
}
