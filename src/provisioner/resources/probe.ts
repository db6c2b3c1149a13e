import {sha256Hex} from '#shared/digest';
import type {HostState} from '../host-state/host-state.ts';
import {type Resource, type ResourceKindName, resourceId} from '../role/resource.ts';
import {quote} from '#shared/quote';
import {SWAP_PROBE} from './swap-probe.ts';

/** What is at a path. */
export interface PathFound {
  /** As `stat %F` says it, e.g. `regular file`, `directory`, `symbolic link`. */
  readonly type: string;
  readonly mode: number;
  readonly owner: string; // "0:0"
  /** "size inode ctime": equal while nobody touched the file. */
  readonly stat: string;
}

export interface UnitFound {
  readonly loaded: boolean;
  readonly active: boolean;
  readonly enabled: boolean;
}

/** The present state of everything a plan asks about, read in one round trip. */
export interface HostProbe {
  readonly paths: ReadonlyMap<string, PathFound>;
  readonly sha256: ReadonlyMap<string, string>;
  readonly linkTargets: ReadonlyMap<string, string>;
  readonly packages: ReadonlySet<string>;
  readonly modules: ReadonlySet<string>;
  readonly sysctls: ReadonlyMap<string, string>;
  readonly units: ReadonlyMap<string, UnitFound>;
  /** What is swapped to now, and what fstab would swap to after a boot. */
  readonly swapDevices: readonly string[];
  /** Units that swap and that a boot may start, with systemd's state of their files. */
  readonly swapUnits: ReadonlyMap<string, string>;
  /** Text of files with line blocks, and of files that are not what they should be. */
  readonly contents: ReadonlyMap<string, string>;
}

export interface ProbeOptions {
  readonly state: HostState;
  /** Boot id of the host now: a memo from before a boot is not believed. */
  readonly bootId: string;
  /** Hash every artifact, whatever its size, inode and ctime say. */
  readonly deep: boolean;
}

const CONTENT_BYTES_MAX = 65_536; // a longer text is compared by digest only, without a diff
const SHARED_FILE_BYTES_MAX = 1_048_576; // a file with a line block is always needed as a whole

/** POSIX sh that prints the present state of `resources`, one tab-separated line per fact. */
export function probeScript(resources: readonly Resource[], options: ProbeOptions): string {
  const pick = <K extends ResourceKindName>(kind: K) =>
    resources.filter((r): r is Extract<Resource, {kind: K}> => r.kind === kind);
  const paths = [...pick('file'), ...pick('directory'), ...pick('link'), ...pick('artifact')];
  return [
    'export LC_ALL=C',
    statPaths(paths.map(r => r.path)),
    ...pick('file').map(r => `f ${quote([r.path])} ${sha256Hex(r.content)}`),
    ...pick('artifact').map(r => `a ${quote([r.path])} ${quote([memo(r, options)])}`),
    ...pick('link').map(
      r => `printf 'link\\t%s\\t%s\\n' ${quote([r.path])} "$(readlink ${quote([r.path])} || :)"`,
    ),
    ...pick('line-block').map(r => `c ${quote([r.path])} ${String(SHARED_FILE_BYTES_MAX)}`),
    ...pick('sysctl').map(r => `s ${quote([r.key, sysctlPath(r.key)])}`),
    ...pick('module').map(r => `m ${quote([r.name])}`),
    pick('swap').length > 0 ? SWAP_PROBE : '',
    packages(pick('package').map(r => r.name)),
    units(pick('unit').map(r => r.name)),
    ':',
  ]
    .filter(line => line !== '')
    .join('\n')
    .replace(/^/, `${FUNCTIONS}\n`);
}

const FUNCTIONS = `
c() { [ ! -f "$1" ] || [ "$(stat -c %s -- "$1")" -gt "\${2:-${String(CONTENT_BYTES_MAX)}}" ] || printf 'content\\t%s\\t%s\\n' "$1" "$(base64 -w0 < "$1")"; }
f() { [ -f "$1" ] || return 0; h=$(sha256sum < "$1"); h=\${h%% *}; printf 'sha256\\t%s\\t%s\\n' "$1" "$h"; [ "$h" = "$2" ] || c "$1"; }
a() { [ -f "$1" ] || return 0; [ "$(stat -c '%s %i %.9Z' -- "$1")" != "$2" ] || return 0; h=$(sha256sum < "$1"); printf 'sha256\\t%s\\t%s\\n' "$1" "\${h%% *}"; }
s() { if v=$(cat "$2" 2>/dev/null); then printf 'sysctl\\t%s\\t%s\\n' "$1" "$v"; fi; }
m() { [ -d "/sys/module/$1" ] || grep -q "/$1\\.ko" "/lib/modules/$(uname -r)/modules.builtin" 2>/dev/null || return 0; printf 'module\\t%s\\n' "$1"; }
`.trim();

const statPaths = (paths: readonly string[]): string =>
  paths.length === 0
    ? ''
    : `stat --printf='path\\t%n\\t%F\\t%a\\t%u:%g\\t%s %i %.9Z\\n' -- ${quote(paths)} 2>/dev/null || :`;

const packages = (names: readonly string[]): string =>
  names.length === 0
    ? ''
    : `dpkg-query -W -f='package\\t\${Package}\\t\${db:Status-Status}\\n' ${quote(names)} 2>/dev/null || :`;

const units = (names: readonly string[]): string =>
  names.length === 0
    ? ''
    : `systemctl show -p Id -p LoadState -p ActiveState -p UnitFileState -- ${quote(names)} | sed 's/^/unit\\t/'`;

function memo(
  resource: Extract<Resource, {kind: 'artifact'}>,
  {state, bootId, deep}: ProbeOptions,
) {
  const recorded = state.resources[resourceId(resource)];
  if (deep || state.bootId !== bootId || recorded?.digest !== resource.sha256) return '';
  return recorded.stat ?? '';
}

/** Path under /proc/sys of a key; the first separator decides which it is (sysctl.d(5)). */
export function sysctlPath(key: string): string {
  const isPath = /^[^./]*[/]/.test(key);
  const parts = isPath ? [key] : key.split('.').map(part => part.replaceAll('/', '.'));
  return `/proc/sys/${parts.join('/')}`;
}

/** Reads the output of `probeScript`. A line of another form is a defect of ours and throws. */
export function parseProbe(output: string): HostProbe {
  const probe = nothingFound();
  let unit = new Map<string, string>();
  const endUnit = () => {
    const id = unit.get('Id');
    if (id !== undefined) {
      probe.units.set(id, {
        loaded: unit.get('LoadState') === 'loaded',
        active: ['active', 'activating', 'reloading'].includes(unit.get('ActiveState') ?? ''),
        enabled: (unit.get('UnitFileState') ?? '').startsWith('enabled'),
      });
    }
    unit = new Map();
  };
  for (const line of output.split('\n')) {
    const [kind, key = '', ...rest] = line.split('\t');
    const value = rest.join('\t');
    switch (kind) {
      case 'path':
        probe.paths.set(key, parsePath(rest));
        break;
      case 'sha256':
        probe.sha256.set(key, value);
        break;
      case 'content':
        probe.contents.set(key, Buffer.from(value, 'base64').toString());
        break;
      case 'link':
        probe.linkTargets.set(key, value);
        break;
      case 'sysctl':
        probe.sysctls.set(key, value.replaceAll(/\s+/g, ' ').trim());
        break;
      case 'module':
        probe.modules.add(key);
        break;
      case 'swap':
        probe.swapDevices.push(key);
        break;
      case 'swap-unit':
        probe.swapUnits.set(key, value);
        break;
      case 'package':
        if (value === 'installed') probe.packages.add(key);
        break;
      case 'unit': {
        const [name = '', text = ''] = splitOnce(key, '=');
        if (name === '') endUnit();
        else unit.set(name, text);
        break;
      }
      case '':
        break;
      default:
        throw new TypeError(`not a line of a probe: ${line.slice(0, 200)}`);
    }
  }
  endUnit();
  return probe;
}

const nothingFound = () => ({
  paths: new Map<string, PathFound>(),
  sha256: new Map<string, string>(),
  linkTargets: new Map<string, string>(),
  packages: new Set<string>(),
  modules: new Set<string>(),
  sysctls: new Map<string, string>(),
  units: new Map<string, UnitFound>(),
  swapDevices: [] as string[],
  swapUnits: new Map<string, string>(),
  contents: new Map<string, string>(),
});

function parsePath([type = '', mode = '', owner = '', stat = '']: readonly string[]): PathFound {
  return {type, mode: Number.parseInt(mode, 8), owner, stat};
}

function splitOnce(text: string, separator: string): readonly string[] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
