/**
 * The remote half of a shell channel: a loop that reads requests from its standard input.
 *
 * ```text
 *  here → host   NONCE LENGTH MODE\n  script bytes  [payload bytes]
 *  host → here   what the script prints, then `NONCE STATUS\n` on stdout and on stderr
 * ```
 * MODE is the payload's size, `-` for none (stdin is /dev/null), or `+` to run the script in the
 * loop's own shell, so that it can open descriptors which every later script inherits.
 * `dd` with `count_bytes` reads exactly as much as it is told from a pipe, in GNU coreutils, in
 * busybox and in uutils; `head -c` of the latter two reads ahead. A request whose bytes are cut off
 * by a lost connection is not run: the script must end with its nonce.
 */
import {quote} from '#shared/quote';

/** Written in one line without single quotes, so that every login shell, csh and fish too, passes it on. */
const LOOP = [
  'umask 022; cd /',
  'LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  'export LC_ALL PATH',
  'printf "%s %s\\n" "$1" $$; printf "%s 0\\n" "$1" >&2; set --',
  '__r() { dd bs=65536 iflag=fullblock,count_bytes count="$1" 2>/dev/null; }',
  'while read -r __n __l __m; do __s=$(__r "$__l")',
  'case $__s in *"#$__n") ;; *) exit 1 ;; esac',
  'case $__m in +) eval "$__s" ;; -) ( eval "$__s" ) </dev/null ;;' +
    ' *) __r "$__m" | { ( eval "$__s" ); __e=$?; cat >/dev/null; exit $__e; } ;; esac',
  '__e=$?; printf "%s %s\\n" "$__n" $__e; printf "%s 0\\n" "$__n" >&2; done',
].join('; ');

export interface ShellCommand {
  /** Announces the loop on both streams as `NONCE PID`; what comes before it is noise. */
  readonly nonce: string;
  readonly sudo: boolean;
}

/**
 * The one command line that a channel executes. `exec` leaves no login shell behind; sudo asks no
 * question (`-n`) and takes root's home.
 */
export function formatShellCommand({nonce, sudo}: ShellCommand): string {
  const become = sudo ? 'sudo -n -H -- ' : '';
  return `exec ${become}/bin/sh -c ${quote(LOOP)} provision ${nonce}`;
}

/** The whole of standard input (a size), nothing, or no subshell at all. */
export type RequestMode =
  | {readonly kind: 'payload'; readonly sizeBytes: number}
  | {readonly kind: 'no-input'}
  | {readonly kind: 'own-shell'};

/** A request as bytes; the payload, if any, has to follow. */
export function encodeRequest(nonce: string, script: string, mode: RequestMode): Buffer {
  if (script.includes('\0')) throw new TypeError('a script cannot hold a NUL byte');
  const body = Buffer.from(`${script}\n#${nonce}`);
  return Buffer.concat([Buffer.from(`${nonce} ${body.length} ${formatMode(mode)}\n`), body]);
}

function formatMode(mode: RequestMode): string {
  switch (mode.kind) {
    case 'payload':
      return String(mode.sizeBytes);
    case 'no-input':
      return '-';
    case 'own-shell':
      return '+';
    default:
      return mode satisfies never;
  }
}
