/**
 * Undoes kubeadm init or join on a host and everything that a cluster left at run time: pods,
 * certificates, etcd's data, links, packet filter rules. Files that roles made stay.
 *
 * nftables tables are named by their makers (kube-proxy, flannel); in the shared tables of
 * iptables-nft only chains and rules with their prefixes go, and a table that is empty then.
 */
export const kubeadmResetScript = (criSocket: string): string =>
  `
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
status=0
if command -v kubeadm >/dev/null && { [ -e /etc/kubernetes/kubelet.conf ] || [ -e /etc/kubernetes/bootstrap-kubelet.conf ] || [ -n "$(ls -A /etc/kubernetes/manifests /etc/kubernetes/pki 2>/dev/null)" ]; }; then
  kubeadm reset --force --cri-socket ${criSocket} </dev/null >/run/slipway-reset.log 2>&1 || { status=$?; tail -n 8 /run/slipway-reset.log >&2; }
  rm -f /run/slipway-reset.log
fi
[ "$status" = 0 ] || exit "$status"
systemctl stop kubelet.service 2>/dev/null
systemctl stop kubepods.slice 2>/dev/null
grep -o ' /var/lib/kubelet/[^ ]*' /proc/mounts | sort -r | while read -r m; do umount "$(printf %b "$m")" || :; done
if grep -q ' /var/lib/kubelet/' /proc/mounts; then
  echo "still mounted, and not touched: $(grep -o ' /var/lib/kubelet/[^ ]*' /proc/mounts | tr '\\n' ' ')" >&2
  exit 1
fi
rm -rf --one-file-system /var/lib/kubelet /var/lib/etcd /var/lib/cni /run/flannel
rm -f /etc/cni/net.d/10-flannel.conflist /etc/kubernetes/*.conf
rm -rf /etc/kubernetes/pki /etc/kubernetes/tmp /etc/kubernetes/manifests/*
plugins=/usr/libexec/kubernetes/kubelet-plugins
rmdir "$plugins/volume/exec" "$plugins/volume" "$plugins" "\${plugins%/*}" 2>/dev/null
for l in cni0 flannel.1; do ip link show "$l" >/dev/null 2>&1 && ip link delete "$l"; done
for n in $(ip netns list 2>/dev/null | sed -n 's/^\\(cni-[^ ]*\\).*/\\1/p'); do ip netns delete "$n"; done
rmdir /run/netns 2>/dev/null
if command -v nft >/dev/null; then
  nft list tables 2>/dev/null | while read -r _ family name; do
    case "$family $name" in
      'ip kube-proxy'|'ip6 kube-proxy'|'ip flannel-ipv4'|'ip6 flannel-ipv6'|'ip cni_hostport'|'ip6 cni_hostport'|'inet cni_hostport'|'inet cni_plugins_masquerade') nft delete table "$family" "$name" ;;
      'ip filter'|'ip nat'|'ip mangle'|'ip6 filter'|'ip6 nat'|'ip6 mangle')
        for c in $(nft list table "$family" "$name" | sed -n 's/^\\tchain \\([^ ]*\\) {/\\1/p'); do
          nft -a list chain "$family" "$name" "$c" | sed -n 's/.*\\(jump\\|goto\\) \\(KUBE-\\|FLANNEL-\\|CNI-\\).* # handle \\([0-9]*\\)$/\\3/p' | while read -r h; do nft delete rule "$family" "$name" "$c" handle "$h"; done
        done
        for c in $(nft list table "$family" "$name" | sed -n 's/^\\tchain \\(\\(KUBE-\\|FLANNEL-\\|CNI-\\)[^ ]*\\) {/\\1/p'); do nft flush chain "$family" "$name" "$c"; done
        for c in $(nft list table "$family" "$name" | sed -n 's/^\\tchain \\(\\(KUBE-\\|FLANNEL-\\|CNI-\\)[^ ]*\\) {/\\1/p'); do nft delete chain "$family" "$name" "$c"; done
        rest=$(nft list table "$family" "$name" | grep -vE '^(table .*|[[:blank:]]*chain .*|[[:blank:]]*type .* policy accept;|[[:blank:]]*}|[[:blank:]]*#.*|[[:blank:]]*)$')
        [ -n "$rest" ] || nft delete table "$family" "$name"
        ;;
    esac
  done
fi
:
`.trim();
