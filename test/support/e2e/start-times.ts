import {onHosts} from './the-lab.ts';

/**
 * When every unit and every container of these hosts was started. Units of a login and of timers
 * come and go by themselves, and so may pods of the proof.
 */
export async function startTimes(
  hosts: readonly string[],
): Promise<Readonly<Record<string, string>>> {
  return await onHosts(
    hosts,
    `systemctl list-units --type=service --state=running --plain --no-legend | awk '{print $1}' |
       grep -Ev '^(user@|user-runtime-dir@|apt-|dpkg-|man-db|systemd-(hostnamed|timedated|localed|tmpfiles))' |
       xargs systemctl show --property=Id,ActiveEnterTimestampMonotonic
     # A container's first process is its monitor's child; its name is k8s_CONTAINER_POD_NAMESPACE_….
     ps -eo pid=,args= | sed -n 's#^ *\\([0-9]*\\) /opt/slipway/bin/conmon .* --name k8s_[^_]*_[^_]*_\\(kube-[^_]*\\|default\\)_.*#\\1#p' |
       while read -r monitor; do
         pid=$(ps -o pid= --ppid "$monitor" | head -n 1 | tr -d ' ')
         [ -z "$pid" ] || echo "container $monitor $(awk '{print $22}' "/proc/$pid/stat")"
       done | sort`,
  );
}
