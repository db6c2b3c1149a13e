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
     ctr -n k8s.io containers list -q 'labels."io.kubernetes.pod.namespace"~="^(kube-|default)"' | sort |
       while read -r id; do
         pid=$(ctr -n k8s.io tasks list | awk -v id="$id" '$1 == id {print $2}')
         [ -z "$pid" ] || echo "$id $(awk '{print $22}' "/proc/$pid/stat")"
       done`,
  );
}
