/**
 * The host's lock: two flocks, both of which the kernel drops with the last process that holds them.
 *
 * ```text
 *  PATH       exclusive, held by one idle shell of the run: no second run starts
 *  PATH.work  shared, inherited by every script of the run and what it started: as long as
 *             one of them lives, although its run was killed, the next run waits
 * ```
 * A provisioner killed with -9 closes its TCP connection, sshd closes the channels, the idle shell
 * reads the end of its input and PATH is free. A script in the foreground of another channel (such
 * as kubeadm) goes on until it writes to its closed pipe or ends; PATH.work tells.
 */
import {quote} from './quote.ts';

/** A killed run's connection takes a moment to be noticed by sshd; a longer hold is a live run. */
const LIVE_GRACE_SECONDS = 3;
const LOCK_DESCRIPTOR = 8; // a single digit: dash knows no others

/**
 * A script that takes the lock, prints `locked`, and holds it until its input ends. Otherwise it
 * prints one other line of `LockLine` and ends at once; nothing on the host waits for long.
 */
export function formatLockScript({path, owner}: LockScript): string {
  if (/[\r\n]/.test(owner)) throw new TypeError('the owner of a lock is one line');
  return `
path=${quote(path)} work=${quote(`${path}.work`)}
command -v flock >/dev/null || { echo 'unusable flock (util-linux) is not installed'; exit 1; }
if ! { mkdir -p "\${path%/*}" && : >>"$path" && : >>"$work"; }; then
  echo "unusable $path cannot be written"; exit 1
fi
exec 9<>"$path"
owner=; read -r owner <"$path" || true
flock -w ${LIVE_GRACE_SECONDS} -x 9 || { read -r owner <"$path"; echo "held $owner"; exit 1; }
if ! flock -n -x "$work" true; then
  commands=
  for descriptor in /proc/[0-9]*/fd/${LOCK_DESCRIPTOR}; do
    [ "$descriptor" -ef "$work" ] || continue
    process=\${descriptor%/fd/*}
    if { read -r name <"$process/comm"; } 2>/dev/null; then
      commands="$commands, $name (pid \${process#/proc/})"
    fi
  done
  echo "orphan \${commands#, } of $owner"; exit 1
fi
printf '%s\\n' ${quote(owner)} >"$path"
echo locked
read -r end || exit 0
`;
}

export interface LockScript {
  readonly path: string;
  readonly owner: string;
}

/** Run in a shell's loop itself: every script started from then on inherits the shared lock. */
export function formatJoinLock(path: string): string {
  return `exec ${LOCK_DESCRIPTOR}<>${quote(`${path}.work`)}; flock -s ${LOCK_DESCRIPTOR}`;
}

/** `held`: by a live run; `orphan`: by commands that a killed run left behind. */
export interface LockRefusal {
  readonly kind: 'held' | 'orphan' | 'unusable';
  readonly text: string;
}

export type LockLine = {readonly kind: 'locked'} | LockRefusal;

/** @returns undefined for a line of other content, which is ignored */
export function parseLockLine(line: string): LockLine | undefined {
  if (line === 'locked') return {kind: 'locked'};
  const found = /^(held|orphan|unusable) (.*)$/.exec(line);
  const kind = found?.[1];
  if (kind !== 'held' && kind !== 'orphan' && kind !== 'unusable') return undefined;
  return {kind, text: found?.[2] ?? ''};
}
