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
import {quote} from '#shared/quote';

/** A killed run's connection takes a moment to be noticed by sshd; a longer hold is a live run. */
const LIVE_GRACE_SECONDS = 3;
const LOCK_DESCRIPTOR = 8; // a single digit: dash knows no others

/**
 * A script for a shell's loop itself, which from then on holds the lock until its channel ends.
 * It prints one line (`LockLine`) and never waits for long.
 */
export function formatLockScript({path, owner}: LockScript): string {
  if (/[\r\n]/.test(owner)) throw new TypeError('the owner of a lock is one line');
  return `
path=${quote(path)} work=${quote(`${path}.work`)} owner=
if ! command -v flock >/dev/null; then
  echo 'unusable flock (util-linux) is not installed'
elif ! { mkdir -p "\${path%/*}" && ( : >>"$path" && : >>"$work" ); }; then
  echo "unusable $path cannot be written"
elif ! { exec 9<>"$path"; flock -w ${LIVE_GRACE_SECONDS} -x 9; }; then
  read -r owner <"$path" || :
  echo "held $owner"
elif ! flock -n -x "$work" true; then
  read -r owner <"$path" || :
  commands=
  for descriptor in /proc/[0-9]*/fd/${LOCK_DESCRIPTOR}; do
    [ "$descriptor" -ef "$work" ] || continue
    process=\${descriptor%/fd/*}
    { read -r name <"$process/comm"; } 2>/dev/null || continue
    commands="$commands, $name (pid \${process#/proc/})"
  done
  echo "orphan \${commands#, } of $owner"
else
  printf '%s\n' ${quote(owner)} >"$path"
  echo locked
fi
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

/** @returns undefined for anything but one of the lines */
export function parseLockLine(output: string): LockLine | undefined {
  const line = output.trim();
  if (line === 'locked') return {kind: 'locked'};
  const found = /^(held|orphan|unusable) (.*)$/.exec(line);
  const kind = found?.[1];
  if (kind !== 'held' && kind !== 'orphan' && kind !== 'unusable') return undefined;
  return {kind, text: found?.[2] ?? ''};
}
