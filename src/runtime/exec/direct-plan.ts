import {CAPABILITIES} from '../spec/capabilities.ts';
import type {OciCapabilities, OciLinux, OciProcess, OciSeccomp, OciUser} from '../spec/oci-spec.ts';
import type {ProcessIdentity} from '../sys/processes.ts';
import {keepExactNumbers} from './exact-numbers.ts';

/** A command for `slipway-exec run`, without what only the moment of its start tells. */
export interface DirectCommand {
  readonly containerId: string;
  readonly command: readonly string[];
  /** The container's first process. */
  readonly init: ProcessIdentity;
  /** Folders of the container's cgroup in every hierarchy, each once. */
  readonly cgroups: readonly string[];
  /** The filter that belongs to the container's profile; none where it has no profile. */
  readonly filterFile: string | undefined;
}

/** What slipway-exec sets up in a process; a container that asks for more is left to its runtime. */
const KNOWN: Readonly<Record<string, ReadonlySet<string>>> = {
  process: new Set([
    ...['args', 'env', 'cwd', 'user', 'capabilities', 'rlimits', 'noNewPrivileges'],
    ...['oomScoreAdj', 'terminal', 'consoleSize', 'apparmorProfile'],
  ]),
  user: new Set(['uid', 'gid', 'additionalGids']),
  linux: new Set([
    ...['namespaces', 'cgroupsPath', 'resources', 'devices', 'maskedPaths', 'readonlyPaths'],
    ...['rootfsPropagation', 'seccomp', 'sysctl'],
  ]),
  seccomp: new Set(['defaultAction', 'defaultErrnoRet', 'architectures', 'syscalls', 'flags']),
};
const NAMESPACES = new Set(['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup']);

/** linux/seccomp.h; runc 1.5 takes the second where a profile names none (`seccomp_linux.go`). */
const SECCOMP_FLAGS: Readonly<Record<string, number>> = {
  SECCOMP_FILTER_FLAG_LOG: 2,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: 4,
};
const SECCOMP_FLAGS_DEFAULT = ['SECCOMP_FILTER_FLAG_SPEC_ALLOW'];

/** asm-generic/resource.h, which x86-64 and arm64 share. */
const RLIMITS = [
  ...['CPU', 'FSIZE', 'DATA', 'STACK', 'CORE', 'RSS', 'NPROC', 'NOFILE', 'MEMLOCK', 'AS', 'LOCKS'],
  ...['SIGPENDING', 'MSGQUEUE', 'NICE', 'RTPRIO', 'RTTIME'],
].map(name => `RLIMIT_${name}`);

/** What a config.json has of it; the specification lets most of it out. */
type BundleProcess = Partial<Omit<OciProcess, 'user' | 'rlimits'>> & {
  /** The limits as JSON has them, exactly; see `keepExactNumbers`. */
  readonly rlimits?: readonly {
    readonly type: string;
    readonly soft: unknown;
    readonly hard: unknown;
  }[];
  readonly cwd: string;
  readonly user: Partial<OciUser> & Pick<OciUser, 'uid' | 'gid'>;
};

/** A container whose commands slipway-exec can run. */
export interface DirectContainer {
  readonly process: BundleProcess;
  readonly seccomp: OciSeccomp | undefined;
}

/**
 * Reads a container's config.json for `slipway-exec`.
 *
 * @returns undefined when it has something that slipway-exec does not set up: a label of SELinux, a
 *   user namespace, a scheduler, or what a later version of the specification brings; and when it
 *   may trace processes
 */
export function readDirectContainer(config: string): DirectContainer | undefined {
  const {process, linux} = JSON.parse(config, keepExactNumbers) as {
    readonly process: BundleProcess;
    readonly linux: OciLinux;
  };
  const {seccomp} = linux;
  const isPlain =
    hasOnly('process', process) &&
    hasOnly('user', process.user) &&
    hasOnly('linux', linux) &&
    !mayTrace(process.capabilities) &&
    linux.namespaces.every(({type}) => NAMESPACES.has(type)) &&
    (process.rlimits ?? []).every(({type}) => RLIMITS.includes(type)) &&
    (seccomp === undefined || isPlainFilter(seccomp));
  return isPlain ? {process, seccomp} : undefined;
}

/**
 * A plan of `slipway-exec run`: pairs of name and value, each ended by a NUL. In a file, since
 * anybody may read a command line.
 *
 * @returns undefined when a value holds a NUL itself, which no system call could take
 */
export function directPlan(
  {process, seccomp}: DirectContainer,
  {containerId, command, init, cgroups, filterFile}: DirectCommand,
): Buffer | undefined {
  const {user, cwd, env = [], rlimits = [], capabilities, noNewPrivileges, oomScoreAdj} = process;
  const {apparmorProfile} = process;
  const pairs: [string, string | number][] = [
    ['pid', init.pid],
    ['start-time', init.startTime],
    ...cgroups.map((folder): [string, string] => ['cgroup', `${folder}/cgroup.procs`]),
    ['uid', user.uid],
    ['gid', user.gid],
    ...(user.additionalGids ?? []).map((gid): [string, number] => ['group', gid]),
    ['capabilities', capabilityMasks(capabilities).join(' ')],
    ...rlimits.map(({type, soft, hard}): [string, string] => [
      'rlimit',
      `${RLIMITS.indexOf(type)} ${JSON.stringify(soft)} ${JSON.stringify(hard)}`,
    ]),
    ['keyring', `_ses.${containerId}`], // runc's name for it: its commands share one
    ['cwd', cwd],
    ...lastOfEach(env).map((variable): [string, string] => ['env', variable]),
    ...command.map((word): [string, string] => ['arg', word]),
  ];
  if (noNewPrivileges === true) pairs.push(['no-new-privileges', 1]);
  if (oomScoreAdj !== undefined) pairs.push(['oom-score-adj', oomScoreAdj]);
  if (apparmorProfile !== undefined) pairs.push(['apparmor', apparmorProfile]);
  if (seccomp !== undefined && filterFile !== undefined) {
    const flags = flagsOf(seccomp).reduce((mask, flag) => mask | (SECCOMP_FLAGS[flag] ?? 0), 0);
    pairs.push(['seccomp', filterFile], ['seccomp-flags', flags]);
  }
  const texts = pairs.map(([name, value]) => [name, String(value)] as const);
  if (texts.some(([, value]) => value.includes('\0'))) return undefined;
  return Buffer.from(texts.map(([name, value]) => `${name}\0${value}\0`).join(''));
}

function hasOnly(kind: keyof typeof KNOWN, value: object): boolean {
  return Object.keys(value).every(key => KNOWN[kind]?.has(key) ?? false);
}

/** Such a container sees into processes that come in before they are its own. */
function mayTrace(sets: Partial<OciCapabilities> = {}): boolean {
  return Object.values(sets).some(names => names.includes('CAP_SYS_PTRACE'));
}

/** Nobody listens to it: that takes a descriptor which only the runtime hands over. */
function isPlainFilter(seccomp: OciSeccomp): boolean {
  const actions = [seccomp.defaultAction, ...seccomp.syscalls.map(({action}) => action)];
  return (
    hasOnly('seccomp', seccomp) &&
    flagsOf(seccomp).every(flag => Object.hasOwn(SECCOMP_FLAGS, flag)) &&
    !actions.includes('SCMP_ACT_NOTIFY')
  );
}

function flagsOf({flags}: OciSeccomp): readonly string[] {
  return flags ?? SECCOMP_FLAGS_DEFAULT;
}

/** Hexadecimal, in the order effective, permitted, inheritable, bounding, ambient. */
function capabilityMasks(sets: Partial<OciCapabilities> = {}): readonly string[] {
  const {effective = [], permitted = [], inheritable = [], bounding = [], ambient = []} = sets;
  return [effective, permitted, inheritable, bounding, ambient].map(names =>
    names
      .map(name => CAPABILITIES.indexOf(name))
      .filter(bit => bit >= 0) // as the runtime: what this kernel does not know is left out
      .reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n)
      .toString(16),
  );
}

/** Of variables with one name the last one counts. */
function lastOfEach(env: readonly string[]): readonly string[] {
  return [...new Map(env.map(variable => [variable.split('=', 1)[0], variable])).values()];
}
