#!/bin/sh
# Turns a fresh Debian tree into the lab's base: customize.sh ROOT PACKAGES NAME...
# mmdebstrap runs it as a customize hook, while the tree still has its package sources.
# The site's packages NAME... are downloaded to PACKAGES with whatever they need that ROOT lacks.
set -eu
root=$1 packages=$2
shift 2

# The site's packages: exactly what a bare host has to fetch, computed against this very tree.
rm -f "$root"/var/cache/apt/archives/*.deb
mkdir -p "$packages" "$root/var/cache/apt/archives/partial"
APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get install --yes --download-only --no-install-recommends "$@"
mv "$root"/var/cache/apt/archives/*.deb "$packages/"

# From here on the hosts know no package source; the provisioner gives them the site's.
rm -rf "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/* "$root"/etc/apt/apt.conf.d/99mmdebstrap
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/log/*.log "$root"/var/log/apt
rm -f "$root"/etc/ssh/ssh_host_* "$root"/var/lib/dbus/machine-id "$root"/etc/resolv.conf
: > "$root/etc/machine-id" # each host gets its own
: > "$root/etc/fstab"
: > "$root/etc/default/locale" # pam_env complains at every login without it

chroot "$root" useradd --create-home --shell /bin/bash lab
echo 'lab ALL=(ALL) NOPASSWD:ALL' > "$root/etc/sudoers.d/lab"
chmod 440 "$root/etc/sudoers.d/lab"
cat > "$root/etc/ssh/sshd_config.d/lab.conf" <<'CONF'
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/lab_authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
UseDNS no
CONF
mkdir -p "$root/etc/systemd/journald.conf.d"
cat > "$root/etc/systemd/journald.conf.d/lab.conf" <<'CONF'
[Journal]
ReadKMsg=no
Storage=persistent
SystemMaxUse=64M
CONF

# Machine-wide settings are plain files in a host (host/stage.sh): systemd-sysctl writes without
# truncating, so a shorter value would keep the tail of the longer one. sysctl truncates.
mkdir -p "$root/etc/systemd/system/systemd-sysctl.service.d"
cat > "$root/etc/systemd/system/systemd-sysctl.service.d/lab.conf" << 'CONF'
[Service]
ExecStart=
ExecStart=-/usr/sbin/sysctl --quiet --system
CONF

# Units that would manage the machine's own hardware, clock or kernel, and timers that wake idle
# hosts. systemd-sysctl stays: settings survive a reboot as they do in life.
for unit in \
  systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket \
  systemd-udevd-varlink.socket systemd-udev-trigger.service systemd-udev-settle.service \
  systemd-udev-load-credentials.service systemd-hwdb-update.service \
  kmod-static-nodes.service \
  modprobe@.service sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount \
  sys-fs-fuse-connections.mount dev-hugepages.mount \
  proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount systemd-binfmt.service \
  systemd-timesyncd.service systemd-networkd.service systemd-networkd.socket \
  systemd-resolved.service systemd-remount-fs.service systemd-firstboot.service \
  systemd-pcrphase.service systemd-tpm2-setup.service systemd-tpm2-setup-early.service \
  getty.target console-getty.service getty@.service serial-getty@.service \
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
