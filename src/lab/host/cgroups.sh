# Control groups of the lab, sourced by the scripts beside it; POSIX sh.
# Every hierarchy of the machine has slipway-lab/GROUP; cgroup v1 has one hierarchy per controller,
# cgroup v2 a single one.

LAB_CGROUP=slipway-lab
LAB_CGROUP_ROOT=${LAB_CGROUP_ROOT:-/sys/fs/cgroup}

# Prints the mount point of every hierarchy, one a line. On v1, `cpu` is often a link to `cpu,cpuacct`.
cgroup_hierarchies() {
  if [ -f "$LAB_CGROUP_ROOT/cgroup.procs" ]; then
    echo "$LAB_CGROUP_ROOT"
    return
  fi
  for hierarchy in "$LAB_CGROUP_ROOT"/*; do
    if [ ! -h "$hierarchy" ] && [ -f "$hierarchy/cgroup.procs" ]; then echo "$hierarchy"; fi
  done
}

# cgroup_link FOLDER: the links among the hierarchies, there as here
cgroup_link() {
  for link in "$LAB_CGROUP_ROOT"/*; do
    if [ -h "$link" ]; then ln -s "$(readlink "$link")" "$1/${link##*/}"; fi
  done
}

# cgroup_make GROUP
cgroup_make() {
  for hierarchy in $(cgroup_hierarchies); do
    parent=$hierarchy
    for child in "$LAB_CGROUP" "$1"; do
      if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
        for controller in $(cat "$parent/cgroup.controllers"); do
          echo "+$controller" > "$parent/cgroup.subtree_control" || true # some refuse here; init sees the rest
        done
      fi
      mkdir -p "$parent/$child"
      # A v1 cpuset takes no process before it has CPUs and memory nodes.
      for file in cpuset.cpus cpuset.mems; do
        if [ -f "$parent/$child/tasks" ] && [ -f "$parent/$child/$file" ] && [ -z "$(cat "$parent/$child/$file")" ]; then
          cat "$parent/$file" > "$parent/$child/$file"
        fi
      done
      parent=$parent/$child
    done
  done
}

# cgroup_join GROUP: moves the calling shell, and nothing else
cgroup_join() {
  for hierarchy in $(cgroup_hierarchies); do
    echo 0 > "$hierarchy/$LAB_CGROUP/$1/cgroup.procs"
  done
}

# cgroup_remove GROUP: with what the host's systemd made below; fails quietly while in use
cgroup_remove() {
  for hierarchy in $(cgroup_hierarchies); do
    if [ -d "$hierarchy/$LAB_CGROUP/$1" ]; then
      find "$hierarchy/$LAB_CGROUP/$1" -depth -type d -exec rmdir {} + 2> /dev/null || true
    fi
  done
}
