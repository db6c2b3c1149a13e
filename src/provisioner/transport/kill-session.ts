/**
 * A script that ends everything which the shell `pid` has started: TERM, then KILL after two
 * seconds. Its processes are found by their session, which sshd makes anew for every channel (and
 * sudo keeps, or makes anew for the command), so what has become a service of its own is spared.
 * Source: proc_pid_stat(5), fields 3 (state) and 6 (session).
 */
export function formatKillSession(pid: number): string {
  return `
session_of() { read -r line <"$1" || return 1; set -- \${line##*) }; state=$1 session=$4; } 2>/dev/null
session_of /proc/${pid}/stat || exit 0
target=$session
mine() { session_of /proc/$$/stat; [ "$session" = "$target" ]; }
mine && exit 1 # never our own
signal() {
  found=
  for stat in /proc/[0-9]*/stat; do
    session_of "$stat" || continue
    [ "$session" = "$target" ] && [ "$state" != Z ] || continue
    process=\${stat%/stat}
    kill "-$1" "\${process#/proc/}" 2>/dev/null && found=1
  done
  [ -n "$found" ]
}
signal TERM || exit 0
for attempt in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  signal 0 || exit 0
  sleep 0.1
done
signal KILL || true
`;
}
