#!/bin/sh
# Keeps one lab host running; started in a session of its own, it outlives the command line.
#
#   network, cgroups ─▶ stage.sh ─▶ /sbin/init ──reboot──▶ again, with a fresh network
#                                       └──poweroff, crash──▶ end
#
# From the environment: LAB_HOST (h1), LAB_DIR (its folder: upper, work, var, root), LAB_BASE,
# LAB_ADDRESS, LAB_MAC, LAB_GATEWAY, LAB_SCRIPTS (this folder).
set -eu
. "$LAB_SCRIPTS/cgroups.sh"

STATUS_REBOOT=129 # reboot(2) in a PID namespace ends its init with SIGHUP: 128 + 1
netns=slipway-$LAB_HOST
port=slw-$LAB_HOST # the host's cable, seen from the switch

main() {
  exec >> "$LAB_DIR/supervisor.log" 2>&1 < /dev/null
  cgroup_make "supervisor-$LAB_HOST"
  cgroup_join "supervisor-$LAB_HOST"
  while :; do
    cgroup_make "$LAB_HOST"
    make_network
    # The clock of the time namespace starts at zero, so uptime is the host's own.
    uptime=$(cut -d. -f1 /proc/uptime)
    status=0
    nsenter --net="/run/netns/$netns" \
      unshare --mount --pid --uts --ipc --time --boottime="-$uptime" --propagation private \
      --fork --kill-child "$LAB_SCRIPTS/stage.sh" || status=$?
    echo "$(date -u +%FT%TZ) init of $LAB_HOST ended with status $status"
    rm -f "$LAB_DIR/init.pid"
    cgroup_remove "$LAB_HOST"
    remove_network
    if [ "$status" != "$STATUS_REBOOT" ] || [ -e "$LAB_DIR/halted" ]; then break; fi
  done
}

# A new network namespace at every boot, as on a real machine: no bridge, route or rule is left
# from the boot before. The hardware address stays.
make_network() {
  remove_network
  ip netns add "$netns"
  ip link add "$port" netns slipway-net type veth peer name eth0 address "$LAB_MAC" netns "$netns"
  ip -netns slipway-net link set "$port" master slipway0 up
  if [ -e "$LAB_DIR/cut" ]; then ip -netns slipway-net link set "$port" down; fi
  ip -netns "$netns" -batch - << END
link set lo up
address add $LAB_ADDRESS/24 dev eth0
link set eth0 up
route add default via $LAB_GATEWAY
END
  # A new namespace copies the machine's setting; a bare host does not forward.
  nsenter --net="/run/netns/$netns" sysctl -qw net.ipv4.ip_forward=0
}

remove_network() {
  ip -netns slipway-net link delete "$port" 2> /dev/null || true
  if [ -e "/run/netns/$netns" ]; then ip netns delete "$netns"; fi
}

main
exit # the shell has read the whole file by now: editing it cannot disturb a running host
