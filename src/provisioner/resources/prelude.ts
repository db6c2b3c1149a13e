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
# apt_get ARGUMENT…: another one at work, also one that fetches lists, is waited for.
apt_get() {
  deadline=$(($(date +%s) + ${PACKAGES_LOCK_WAIT_SECONDS}))
  while :; do
    status=0
    message=$(DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=0 -o Dpkg::Use-Pty=0 "$@" </dev/null 2>&1 >/dev/null) || status=$?
    [ "$status" -ne 0 ] || return 0
    case $message in
    *'Could not get lock'* | *'(11: Resource temporarily unavailable)'*) [ "$(date +%s)" -ge "$deadline" ] || { sleep 1; continue; } ;;
    esac
    printf '%s\\n' "$message" >&2
    return "$status"
  done
}
# purge NAME…: what other packages need stays (dpkg says so, and ends with 1); another one at work (2) is waited for.
purge() {
  deadline=$(($(date +%s) + ${PACKAGES_LOCK_WAIT_SECONDS}))
  while :; do
    status=0
    message=$(DEBIAN_FRONTEND=noninteractive dpkg --purge "$@" </dev/null 2>&1 >/dev/null) || status=$?
    [ "$status" -ne 0 ] || return 0
    if [ "$status" -eq 1 ]; then
      kept=$(printf '%s\\n' "$message" | grep -c 'dependency problems - not removing' || :)
      failed=$(printf '%s\\n' "$message" | grep -c 'error processing' || :)
      [ "$kept" -eq 0 ] || [ "$kept" -ne "$failed" ] || return 0
    elif [ "$(date +%s)" -lt "$deadline" ]; then
      sleep 1
      continue
    fi
    printf '%s\\n' "$message" >&2
    return 1
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
