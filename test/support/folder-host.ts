/**
 * A host that is a folder: scripts run for real in a shell of this machine, what they would touch
 * outside of the folder is mapped into it, and the programs that belong to a machine (systemctl,
 * apt-get, modprobe …) are small stand-ins which keep their state in files there.
 */
import {execFile} from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {CodedError} from '#shared/errors';
import type {RunResult} from '#provisioner/transport/connection';
import {FakeConnection, type RecordedRun} from './fake-connection.ts';
import {writePrograms} from './program-file.ts';

export const isRoot = process.getuid?.() === 0;
export const shells: readonly string[] = ['/bin/dash', '/bin/bash'].filter(existsSync);

export interface FolderHostOptions {
  readonly shell?: string;
  /** The connection is lost at this run, counted from 0: before the host hears of it, or after. */
  readonly loseAt?: {readonly run: number; readonly when: 'before' | 'after'};
  /** The host's shell dies when it comes to its n-th resource, counted from 0 over all scripts. */
  readonly dieAtResource?: number;
}

export class FolderHost implements Disposable {
  readonly root: string;

  constructor() {
    this.root = mkdtempSync(join(tmpdir(), 'slipway-host-'));
    for (const directory of ['bin', 'fake', 'fake/units', 'sys/module', 'proc/sys', 'etc']) {
      mkdirSync(join(this.root, directory), {recursive: true});
    }
    const scripts = Object.entries(STAND_INS).map(
      ([name, text]) => [name, `#!/bin/sh\nfake=${this.root}/fake\n${text}\n`] as const,
    );
    writePrograms(join(this.root, 'bin'), Object.fromEntries(scripts));
    if (isRoot) rmSync(join(this.root, 'bin/chown'));
    this.write('proc/swaps', 'Filename Type Size Used Priority\n');
    this.write('fake/packages', 'base-files\n');
  }

  [Symbol.dispose](): void {
    rmSync(this.root, {recursive: true, force: true});
  }

  path(relative: string): string {
    return join(this.root, relative);
  }

  write(relative: string, text: string): void {
    mkdirSync(dirname(this.path(relative)), {recursive: true});
    writeFileSync(this.path(relative), text);
  }

  read(relative: string): string {
    return readFileSync(this.path(relative), 'utf8');
  }

  has(relative: string): boolean {
    return existsSync(this.path(relative));
  }

  /** What the stand-ins were asked to do that changes something, in order. */
  get deeds(): readonly string[] {
    return this.has('fake/log') ? this.read('fake/log').trim().split('\n') : [];
  }

  /** Everything that stays: path → type, mode and content; without logs and the stand-ins. */
  snapshot(): Readonly<Record<string, string>> {
    const found: Record<string, string> = {};
    const visit = (relative: string): void => {
      const path = this.path(relative);
      const info = lstatSync(path);
      const mode = (info.mode & 0o7777).toString(8);
      if (info.isSymbolicLink()) found[relative] = `link ${readlinkSync(path)}`;
      else if (!info.isDirectory()) found[relative] = `${mode} ${this.read(relative)}`;
      else {
        found[relative] = `${mode} directory`;
        for (const name of readdirSync(path)) visit(join(relative, name));
      }
    };
    visit('.');
    return Object.fromEntries(
      Object.entries(found).filter(([path]) => !/^(bin|fake\/(log|units\/[^/]*\/starts)|fake$)/.test(path)), // prettier-ignore
    );
  }

  connection(options: FolderHostOptions = {}): FakeConnection {
    const count = {runs: 0, resources: 0};
    return new FakeConnection({
      respond: async run => {
        const index = count.runs++;
        const lost = new CodedError('ERR_CONNECTION_LOST', 'h1: connection lost', {hint: '-'});
        const isLost = options.loseAt !== undefined && index >= options.loseAt.run;
        if (isLost && (index > options.loseAt.run || options.loseAt.when === 'before')) return lost;
        const killAfter = (options.dieAtResource ?? Infinity) - count.resources;
        if (killAfter < 0) return lost;
        const result = await this.run(run, {shell: options.shell ?? '/bin/sh', killAfter});
        count.resources += [...result.stdout.matchAll(/^at\t/gm)].length;
        if (result.exitCode === 137) count.resources += 1;
        return isLost || result.exitCode === 137 ? lost : result;
      },
    });
  }

  /** Runs a script here; what it does to a machine it does to the folder. */
  run(
    {script, payload}: Pick<RecordedRun, 'script'> & Partial<RecordedRun>,
    {shell = '/bin/sh', killAfter = Infinity}: {shell?: string; killAfter?: number} = {},
  ): Promise<RunResult> {
    const mapped = this.#map(script, killAfter);
    return new Promise(resolve => {
      const env = {PATH: `${this.root}/bin:/usr/sbin:/usr/bin:/sbin:/bin`};
      const options = {env, maxBuffer: 1 << 24, encoding: 'utf8'} as const;
      // From a file, so that standard input is the payload's.
      const file = join(this.root, 'bin', `script.${process.hrtime.bigint()}`);
      writeFileSync(file, mapped);
      const child = execFile(shell, [file], options, (error, stdout, stderr) => {
        rmSync(file, {force: true});
        const code = error === null ? 0 : child.signalCode === 'SIGKILL' ? 137 : error.code;
        resolve({exitCode: Number(code), stdout, stderr});
      });
      child.stdin?.on('error', () => undefined); // a script that reads nothing
      child.stdin?.end(payload ?? '');
    });
  }

  #map(script: string, killAfter: number): string {
    const {root} = this;
    const mapped = MAPPED.reduce(
      (text, [from, to]) =>
        text.replaceAll(new RegExp(`(?<!${root})${from}`, 'g'), () => root + to),
      script,
    );
    const owned = isRoot ? mapped : mapped.replaceAll('%u:%g', '0:0');
    if (killAfter === Infinity) return owned;
    const dying = `at() { [ "\${n:=0}" -lt ${killAfter} ] || kill -9 $$; n=$((n + 1)); `;
    return owned.replaceAll('at() { ', () => dying);
  }
}

/** What scripts name outside of the paths of resources, and where it is in the folder. */
const MAPPED: readonly (readonly [string, string])[] = [
  ['/var/lib/slipway', '/slipway'],
  ['/proc/sys/', '/proc/sys/'],
  ['/proc/swaps', '/proc/swaps'],
  ['/sys/module', '/sys/module'],
  ['/lib/modules', '/lib/modules'],
  ['/etc/fstab', '/etc/fstab'],
  ['/etc/systemd/system/', '/etc/systemd/system/'],
];

const LOG = (what: string): string => `echo "${what}" >> "$fake/log"`;

const STAND_INS: Readonly<Record<string, string>> = {
  systemctl: `
[ "$1" != -q ] || shift
verb=$1; shift
# set_state NAME STATE: of a unit that has a line in the file \`unit-files\`.
set_state() {
  [ ! -e "$fake/unit-files" ] || { u=$1 s=$2 awk '$1 == ENVIRON["u"] {$2 = ENVIRON["s"]} {print}' "$fake/unit-files" > "$fake/part" && mv "$fake/part" "$fake/unit-files"; }
}
case $verb in
list-unit-files) cat "$fake/unit-files" 2>/dev/null ;;
mask) shift; set_state "$1" masked; printf 'mask %s\\n' "$1" >> "$fake/log" ;;
unmask) set_state "$1" generated; printf 'unmask %s\\n' "$1" >> "$fake/log" ;;
--no-block) systemctl "$@" ;;
show)
  while [ "$1" != -- ]; do shift; done; shift
  for u; do
    active=inactive; enabled=disabled; d=$fake/units/$u
    [ ! -e "$d/active" ] || active=active
    [ ! -e "$d/enabled" ] || enabled=enabled
    [ "$u" = "$1" ] || echo
    printf 'Id=%s\\nLoadState=loaded\\nActiveState=%s\\nUnitFileState=%s\\n' "$u" "$active" "$enabled"
  done ;;
enable) set_state "$1" enabled; mkdir -p "$fake/units/$1"; : > "$fake/units/$1/enabled"; ${LOG('enable $1')} ;;
start|restart)
  mkdir -p "$fake/units/$1"; : > "$fake/units/$1/active"; echo . >> "$fake/units/$1/starts"; ${LOG('$verb $1')} ;;
stop) rm -f "$fake/units/$1/active"; ${LOG('stop $1')} ;;
disable) shift; set_state "$1" disabled; rm -rf "$fake/units/$1"; ${LOG('disable $1')} ;;
daemon-reload) ${LOG('daemon-reload')} ;;
esac`,
  // Every package brings a library lib-NAME along; nftables and conntrack share lib-common, too.
  // Lines `NAME NEEDED` in the file `needs` are packages of somebody else.
  'apt-get': `
while [ $# -gt 0 ]; do
  case $1 in -o) shift 2 ;; -*) shift ;; *) break ;; esac
done
verb=$1; shift
names=; for a; do case $a in -*) ;; *) names="$names $a" ;; esac; done
${LOG('apt-get $verb$names')}
[ ! -e "$fake/apt-locked" ] || { rm "$fake/apt-locked"; echo 'E: Could not get lock /var/lib/apt/lists/lock.' >&2; exit 100; }
case $verb in
install) for p in $names; do
    grep -qxF "$p" "$fake/known" 2>/dev/null || { [ -e "$fake/updated" ] || { echo "E: Unable to locate package $p" >&2; exit 100; }; }
    printf '%s\\nlib-%s\\nlib-common\\n' "$p" "$p" >> "$fake/packages"; done ;;
update) : > "$fake/updated" ;;
esac
sort -uo "$fake/packages" "$fake/packages"`,
  'apt-mark': `grep '^lib-' "$fake/packages"`,
  dpkg: `
shift; ${LOG('dpkg --purge $*')}
[ ! -e "$fake/dpkg-locked" ] || { rm "$fake/dpkg-locked"; echo 'dpkg: error: frontend lock is locked' >&2; exit 2; }
[ ! -e "$fake/dpkg-broken" ] || { echo 'dpkg: error processing package x (--purge):' >&2; echo ' installed x package pre-removal script subprocess returned error exit status 1' >&2; exit 1; }
status=0
needed_by() {
  { printf '%s lib-common\\n' nftables conntrack; sed -n 's/^lib-\\(.*\\)/\\1 lib-\\1/p' "$fake/packages"; cat "$fake/needs" 2>/dev/null; } |
    awk -v p="$1" '$2 == p {print $1}' | { grep -xFf "$fake/packages" || :; }
}
kept() {
  for p in $todo; do
    for q in $(needed_by "$p"); do case $todo in *" $q "*) ;; *) echo "$p"; return ;; esac; done
  done
}
todo=" $* "
while p=$(kept); [ -n "$p" ]; do status=1; printf 'dpkg: error processing package %s (--purge):\\n dependency problems - not removing\\n' "$p" >&2; todo="\${todo%% $p *} \${todo#* $p }"; done
for p in $todo; do sed -i "/^$p$/d" "$fake/packages"; done
exit $status`,
  'dpkg-query': `
format=$2; shift 2
[ $# -gt 0 ] || set -- $(cat "$fake/packages")
status=0
for p; do
  grep -qxF "$p" "$fake/packages" || { echo "dpkg-query: no packages found matching $p" >&2; status=1; continue; }
  case $format in -f=package*) printf 'package\\t' ;; esac
  printf '%s\\tinstalled\\n' "$p"
done
exit $status`,
  modprobe: `shift; mkdir -p "$fake/../sys/module/$1"; ${LOG('modprobe $1')}`,
  swapoff: `head -n 1 "$fake/../proc/swaps" > "$fake/swaps"; cat "$fake/swaps" > "$fake/../proc/swaps"; rm "$fake/swaps"; ${LOG('swapoff $*')}`,
  swapon: `awk '$1 !~ /^#/ && $3 == "swap" {print $1, "partition"}' "$fake/../etc/fstab" >> "$fake/../proc/swaps"; ${LOG('swapon $*')}`,
  chown: ':',
  sync: ':', // durability is not what a unit test can see
};
