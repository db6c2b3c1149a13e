import {LIST_IMAGES} from './host-images.ts';
import {HOST_STATE_PATH} from '../host-state/host-state.ts';

/** Commands that our scripts, and mount: the kubelet, call beside the shell's own and coreutils'. */
const COMMANDS = [
  'awk',
  'base64',
  'chmod',
  'flock',
  'grep',
  'head',
  'ip',
  'modprobe',
  'mount',
  'ps',
  'sed',
  'sha256sum',
  'sort',
  'stat',
  'systemctl',
  'umount',
  'uname',
];

const STATE_BYTES_MAX = 1_048_576;

/** One round trip: everything the planning needs to know, as `key<TAB>value` lines. */
export const FACTS_SCRIPT = `
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
p() { printf '%s\\t%s\\n' "$1" "$2"; }
p hostname "$(uname -n)"
p kernel "$(uname -r)"
p arch "$(uname -m)"
[ ! -r /etc/os-release ] || sed -n 's/^\\(ID\\|ID_LIKE\\|VERSION_ID\\|PRETTY_NAME\\)=/os\\t\\1=/p' /etc/os-release
p machine-id "$(cat /etc/machine-id)"
p boot-id "$(cat /proc/sys/kernel/random/boot_id)"
p cpus "$(nproc)"
awk '/^MemTotal:/ {printf "memory-kib\\t%s\\n", $2}' /proc/meminfo
tail -n +2 /proc/swaps | awk '{printf "swap\\t%s\\n", $1}'
p cgroup "$(stat -f -c %T /sys/fs/cgroup)"
p clock "$(date +%s)"
[ ! -d /run/systemd/system ] || p systemd yes
! command -v apt-get >/dev/null || p package-manager apt
for c in ${COMMANDS.join(' ')}; do command -v "$c" >/dev/null || p missing "$c"; done
awk 'FNR > 1 && $4 == "0A" {split($2, a, ":"); print "port-hex\\t" a[2]}' /proc/net/tcp /proc/net/tcp6 2>/dev/null | sort -u
ip -o -4 addr show | awk '{split($4, a, "/"); print "address\\t" a[1] "\\t" $2}'
for d in / /var/lib; do p free "$d $(stat -f -c '%a %S' "$d" 2>/dev/null)"; done
! systemctl -q is-active firewalld.service 2>/dev/null || p firewall firewalld
! grep -qs '^ENABLED=yes' /etc/ufw/ufw.conf || p firewall ufw
r=/run/systemd/resolve/resolv.conf; [ -r "$r" ] || r=/etc/resolv.conf
[ ! -r "$r" ] || awk '$1 == "nameserver" {print "nameserver\\t" $2}' "$r"
for f in /etc/cloud/templates/hosts.*.tmpl; do [ ! -f "$f" ] || p hosts-template "$f"; done
for s in /run/containerd/containerd.sock /run/crio/crio.sock /run/docker.sock /run/slipway/cri.sock; do [ ! -S "$s" ] || p runtime-socket "$s"; done
[ ! -f /etc/kubernetes/kubelet.conf ] || p kubelet-conf yes
[ ! -f /etc/kubernetes/admin.conf ] || p admin-conf yes
[ -z "$(ls -A /etc/kubernetes/pki 2>/dev/null)" ] || p pki yes
for d in /etc/cni /etc/containerd /etc/slipway /opt/cni /opt/containerd /opt/slipway /run/containerd /var/lib/containerd /var/lib/slipway/cri /etc/kubernetes /var/log/containers /var/log/pods; do [ -z "$(ls -A "$d" 2>/dev/null)" ] || p occupied "$d"; done
for f in /etc/kubernetes/manifests/*.yaml; do [ ! -f "$f" ] || p manifest "\${f##*/}"; done
ls -A /var/lib/etcd 2>/dev/null | grep -qvx lost+found && p etcd-data yes
[ ! -d /var/lib/etcd/lost+found ] || p etcd-lost-found yes
for f in /etc/cni/net.d/*.conflist /etc/cni/net.d/*.conf /etc/cni/net.d/*.json; do [ ! -f "$f" ] || p network-file "\${f##*/}"; done
# The first of a name counts, as for systemd; a link to /dev/null hides the others.
for u in kubelet slipway-cri containerd; do
  seen=/
  for d in /etc/systemd/system /run/systemd/system /usr/local/lib/systemd/system /usr/lib/systemd/system /lib/systemd/system; do
    for f in "$d/$u.service.d"/*.conf; do
      [ -e "$f" ] || continue
      case $seen in */"\${f##*/}"/*) continue ;; esac
      seen=$seen\${f##*/}/
      [ ! -f "$f" ] || ! grep -q '^[[:space:]]*ExecStart[[:space:]]*=' "$f" || p start-drop-in "$u.service $f"
    done
  done
done
if [ -S /run/containerd/containerd.sock ] && command -v ctr >/dev/null; then
${LIST_IMAGES.containerd}
fi
# Node takes a moment to start, and the images of a member are its kubelet's business.
if [ -S /run/slipway/cri.sock ] && [ ! -f /etc/kubernetes/kubelet.conf ] && command -v slipway-cri >/dev/null; then
${LIST_IMAGES.slipway}
fi
if [ -f ${HOST_STATE_PATH} ]; then
  if [ "$(stat -c %s ${HOST_STATE_PATH})" -le ${STATE_BYTES_MAX} ]; then p state "$(base64 -w0 < ${HOST_STATE_PATH})"; else p state too-large; fi
fi
:
`.trim();
