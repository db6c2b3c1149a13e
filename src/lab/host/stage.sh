#!/bin/sh
# Process 1 of a new host: joins the host's cgroups, builds its root file system, becomes init.
# It runs inside the network, mount, PID, UTS, IPC and time namespaces that supervisor.sh made;
# the environment is the supervisor's.
set -eu

# Machine-wide settings that a kubelet, a role or Debian's own sysctl.d may write. A host gets a
# private file for each, filled with the machine's value at every boot. Settings of a namespace
# (hostname, shm*, msg*, all of net) need none; vm and kernel/keys are covered as whole folders.
COVERED_FILES='kernel/panic kernel/panic_on_oops kernel/panic_on_warn kernel/panic_on_io_nmi
kernel/panic_on_unrecovered_nmi kernel/panic_on_rcu_stall kernel/unknown_nmi_panic kernel/hung_task_panic
kernel/hung_task_timeout_secs kernel/softlockup_panic kernel/hardlockup_panic kernel/nmi_watchdog
kernel/watchdog kernel/watchdog_thresh kernel/sysrq kernel/core_pattern kernel/core_uses_pid
kernel/core_pipe_limit kernel/pid_max kernel/threads-max kernel/printk kernel/printk_ratelimit
kernel/printk_ratelimit_burst kernel/dmesg_restrict kernel/kptr_restrict kernel/perf_event_paranoid
kernel/perf_event_max_sample_rate kernel/unprivileged_bpf_disabled kernel/unprivileged_userns_clone
kernel/randomize_va_space kernel/numa_balancing kernel/sched_autogroup_enabled
kernel/sched_rt_runtime_us kernel/sched_rt_period_us kernel/io_uring_disabled kernel/ftrace_enabled
kernel/modules_disabled kernel/kexec_load_disabled kernel/yama/ptrace_scope kernel/pty/max
fs/file-max fs/nr_open fs/aio-max-nr fs/mount-max fs/suid_dumpable fs/pipe-max-size
fs/pipe-user-pages-soft fs/pipe-user-pages-hard fs/may_detach_mounts fs/lease-break-time
fs/leases-enable fs/protected_hardlinks fs/protected_symlinks fs/protected_fifos
fs/protected_regular'
COVERED_FOLDERS='vm kernel/keys fs/inotify fs/epoll fs/fanotify'

main() {
  . "$LAB_SCRIPTS/cgroups.sh"
  # /proc is still the machine's: this is the process id as the machine sees it.
  read -r pid _ < /proc/self/stat
  echo "$pid" > "$LAB_DIR/init.pid"
  # Only process 1 may sit in the host's cgroups: a parent waiting in there would show inside as
  # process 0, and systemd would report "Failed to migrate controller cgroups".
  cgroup_join "$LAB_HOST"
  exec unshare --cgroup "$LAB_SCRIPTS/stage.sh" namespaced
}

build_root() {
  . "$LAB_SCRIPTS/cgroups.sh"
  root=$LAB_DIR/root
  hostname "$LAB_HOST"
  mount -t overlay overlay -o "lowerdir=$LAB_BASE,upperdir=$LAB_DIR/upper,workdir=$LAB_DIR/work" "$root"
  mount --bind "$LAB_DIR/var" "$root/var" # images and containers need a real file system
  mount -t proc proc "$root/proc"
  mount -t sysfs sysfs "$root/sys"
  mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root/run"
  mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/tmp"
  make_devices
  mount_cgroups
  cover_settings
  cd "$root"
  pivot_root . mnt
  umount -l /mnt
  mount --make-rshared / # what systemd does on a real machine, and kubelets rely on
  # The clock, kernel modules and raw I/O are the machine's own.
  exec env -i container=lab PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin TERM=dumb \
    setpriv --bounding-set -sys_time,-sys_module,-sys_rawio /sbin/init < /dev/null > /dev/console 2>&1
}

make_devices() {
  dev=$root/dev
  mount -t tmpfs -o mode=755,nosuid tmpfs "$dev"
  while read -r name mode major minor; do
    mknod -m "$mode" "$dev/$name" c "$major" "$minor"
  done << END
null 666 1 3
zero 666 1 5
full 666 1 7
random 666 1 8
urandom 666 1 9
kmsg 644 1 11
tty 666 5 0
fuse 666 10 229
loop-control 660 10 237
END
  mkdir "$dev/net" "$dev/pts" "$dev/shm" "$dev/mqueue"
  mknod -m 666 "$dev/net/tun" c 10 200
  mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts "$dev/pts"
  mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$dev/shm"
  mount -t mqueue mqueue "$dev/mqueue"
  ln -s pts/ptmx "$dev/ptmx"
  ln -s /proc/self/fd "$dev/fd"
  ln -s /proc/self/fd/0 "$dev/stdin"
  ln -s /proc/self/fd/1 "$dev/stdout"
  ln -s /proc/self/fd/2 "$dev/stderr"
  : > "$dev/console"
  : >> "$LAB_DIR/console.log"
  mount --bind "$LAB_DIR/console.log" "$dev/console"
}

# The same hierarchies as the machine's, each rooted at the host's own group.
mount_cgroups() {
  if [ -f /sys/fs/cgroup/cgroup.procs ]; then
    mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup"
    return
  fi
  mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
  for hierarchy in $(cgroup_hierarchies); do
    name=${hierarchy##*/}
    mkdir "$root/sys/fs/cgroup/$name"
    case $name in
      systemd) mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/$name" ;;
      unified) mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup/$name" ;;
      *) mount -t cgroup -o "$name" cgroup "$root/sys/fs/cgroup/$name" ;;
    esac
  done
  cgroup_link "$root/sys/fs/cgroup"
}

cover_settings() {
  own=$root/mnt # a tmpfs that nobody sees once its files are bound to their places
  mount -t tmpfs -o mode=755 tmpfs "$own"
  mkdir -p "$own/kernel/yama" "$own/kernel/pty" "$own/fs"
  for folder in $COVERED_FOLDERS; do
    if [ -d "$root/proc/sys/$folder" ]; then
      mkdir "$own/$folder"
      for file in "$root/proc/sys/$folder"/*; do copy_setting "${file#"$root/proc/sys/"}"; done
      mount --bind "$own/$folder" "$root/proc/sys/$folder"
    fi
  done
  for file in $COVERED_FILES; do
    if [ -f "$root/proc/sys/$file" ]; then
      copy_setting "$file"
      mount --bind "$own/$file" "$root/proc/sys/$file"
    fi
  done
  cat /proc/sys/kernel/random/uuid > "$own/boot_id"
  chmod 444 "$own/boot_id"
  mount --bind "$own/boot_id" "$root/proc/sys/kernel/random/boot_id"
  mount -o remount,bind,ro "$root/proc/sys/kernel/random/boot_id"
  if [ -e "$root/proc/sysrq-trigger" ]; then mount --bind /dev/null "$root/proc/sysrq-trigger"; fi
  umount -l "$own"
}

# copy_setting NAME: some are write-only, and stay empty
copy_setting() {
  cat "$root/proc/sys/$1" > "$own/$1" 2> /dev/null || : > "$own/$1"
}

if [ "${1:-}" = namespaced ]; then build_root; else main; fi
exit
