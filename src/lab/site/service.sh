#!/bin/sh
# Runs one service of the site in the site's network and a control group of its own:
#   service.sh PROGRAM ARGUMENT...
# From the environment: LAB_SERVICE (name of the group), LAB_LOG, LAB_SCRIPTS (../host).
set -eu
. "$LAB_SCRIPTS/cgroups.sh"

exec >> "$LAB_LOG" 2>&1 < /dev/null
cgroup_make "$LAB_SERVICE"
cgroup_join "$LAB_SERVICE"
cd /
exec nsenter --net=/run/netns/slipway-site "$@"
