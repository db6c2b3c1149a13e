/** Another apt or dpkg may be at work, e.g. unattended-upgrades. */
export const PACKAGES_LOCK_WAIT_SECONDS = 120;

/**
 * Functions that every script of `apply` may call. A script runs with `set -eu`; `at ID` tells
 * which resource is being made, so that a failure can name it.
 */
export const APPLY_PRELUDE = `
set -eu
umask 022
export LC_ALL=C
at() { printf 'at\\t%s\\n' "$1"; }
# put PATH MODE: standard input, base64, becomes the file; readers see the old or the new one.
put() {
  mkdir -p "\${1%/*}"
  part="\${1%/*}/.slipway.\${1##*/}"
  ( umask 077; base64 -d > "$part" ) || { rm -f "$part"; return 1; }
  chmod "$2" "$part"
  chown 0:0 "$part"
  sync "$part"
  mv -fT "$part" "$1"
}
reload_units() { [ -n "\${reloaded:-}" ] || systemctl daemon-reload; reloaded=1; }
packages_before=/var/lib/slipway/packages-before
packages_now() { dpkg-query -W -f='\${Package}\\t\${db:Status-Status}\\n' | sed -n 's/\\tinstalled$//p' | sort -u; }
is_installed() { packages_now | grep -qxF -- "$1"; }
note_packages() { mkdir -p "\${packages_before%/*}"; packages_now > "$packages_before.part"; mv -fT "$packages_before.part" "$packages_before"; }
came_along() { [ ! -f "$packages_before" ] || packages_now | { grep -vxFf "$packages_before" || :; } | { grep -xF "$(apt-mark showauto)" || :; }; }
# apt_get ARGUMENT…: apt waits for dpkg's lock alone; one that fetches lists or packages is waited for, too.
apt_get() {
  seconds=0
  while :; do
    status=0
    message=$(DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=${PACKAGES_LOCK_WAIT_SECONDS} -o Dpkg::Use-Pty=0 "$@" </dev/null 2>&1 >/dev/null) || status=$?
    [ "$status" -ne 0 ] || return 0
    case $message in
    *'Could not get lock'* | *'Unable to lock'*) [ "$seconds" -lt ${PACKAGES_LOCK_WAIT_SECONDS} ] || { printf '%s\\n' "$message" >&2; return "$status"; } ;;
    *) printf '%s\\n' "$message" >&2; return "$status" ;;
    esac
    seconds=$((seconds + 1))
    sleep 1
  done
}
# purge NAME…: what other packages need stays (dpkg ends with 1); another one at work (2) is waited for.
purge() {
  seconds=0
  while :; do
    status=0
    message=$(DEBIAN_FRONTEND=noninteractive dpkg --purge "$@" </dev/null 2>&1 >/dev/null) || status=$?
    [ "$status" -gt 1 ] || return 0
    [ "$seconds" -lt ${PACKAGES_LOCK_WAIT_SECONDS} ] || { printf '%s\\n' "$message" >&2; return 1; }
    seconds=$((seconds + 1))
    sleep 1
  done
}
`.trim();

/** A here-document that feeds `text` as base64 to `command`. */
export function heredoc(command: string, text: string): string {
  const lines = Buffer.from(text)
    .toString('base64')
    .replaceAll(/(.{76})/g, '$1\n')
    .trimEnd();
  return `${command} <<'__SLIPWAY__'\n${lines}\n__SLIPWAY__`;
}
