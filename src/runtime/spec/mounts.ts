import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import type {HostAbilities, PreparedMount, SandboxFiles} from './input.ts';
import type {OciMount} from './oci-spec.ts';

const PROPAGATIONS = ['rprivate', 'rslave', 'rshared'] as const;

export interface MountsRequest {
  readonly mounts: readonly PreparedMount[];
  readonly files: SandboxFiles;
  readonly privileged: boolean;
  readonly readonlyRootfs: boolean;
  readonly host: Pick<HostAbilities, 'recursiveReadOnly'>;
  readonly daemonDirectories?: readonly string[] | undefined;
}

/**
 * The mount table of a container: kernel file systems, the sandbox's files, then the CRI's mounts
 * by depth, so that a mount inside another comes after it. A CRI mount replaces what we would put
 * at the same place; one at `/dev` replaces everything below it too.
 * @throws CodedError ERR_REQUEST_INVALID, ERR_RECURSIVE_READ_ONLY.
 */
export function containerMounts(request: MountsRequest): {
  readonly mounts: readonly OciMount[];
  readonly rootfsPropagation?: 'rslave' | 'rshared';
} {
  const prepared = request.mounts.map(mount => withoutPinning(mount, request.daemonDirectories));
  const own = prepared
    .map(mount => criMount(mount, request.host))
    .sort((left, right) => depth(left.destination) - depth(right.destination));
  const taken = new Set(own.map(({destination}) => destination));
  const defaults = defaultMounts(request).filter(
    ({destination}) =>
      !taken.has(destination) && !(taken.has('/dev') && destination.startsWith('/dev/')),
  );
  const strongest = Math.max(0, ...prepared.map(({propagation}) => propagation));
  return {
    mounts: [...defaults, ...own],
    // A shared or slave mount needs a parent that passes events on.
    ...(strongest === 2 ? {rootfsPropagation: 'rshared'} : {}),
    ...(strongest === 1 ? {rootfsPropagation: 'rslave'} : {}),
  };
}

/**
 * Says what is wrong with a propagation that is asked of a host path, by /proc/self/mountinfo.
 * @returns undefined when the mount that holds the path fits.
 */
export function propagationProblem(
  mountinfo: string,
  {hostPath, propagation}: Pick<PreparedMount, 'hostPath' | 'propagation'>,
): string | undefined {
  if (propagation === 0) return undefined;
  const holder = mountinfo
    .split('\n')
    .map(line => line.split(' '))
    .map(fields => ({point: unescaped(fields[4] ?? ''), optional: fields.slice(6)}))
    .filter(({point}) => point !== '' && isWithin(hostPath, point))
    // The longest mount point holds the path; of several at one place the last one is on top.
    .reduce<{point: string; optional: string[]} | undefined>(
      (best, next) => (best !== undefined && best.point.length > next.point.length ? best : next),
      undefined,
    );
  const tags = (holder?.optional ?? []).slice(0, holder?.optional.indexOf('-'));
  const isShared = tags.some(tag => tag.startsWith('shared:'));
  const isSlave = tags.some(tag => tag.startsWith('master:'));
  if (isShared || (propagation === 1 && isSlave)) return undefined;
  return `${hostPath} is on ${holder?.point ?? '/'}, which is not a shared${propagation === 1 ? ' or slave' : ''} mount`;
}

/**
 * A private copy of `/`, or of a folder that the daemon mounts in, would hold every other
 * container's root file system for as long as the container lives: it gets to see their end.
 */
function withoutPinning(
  mount: PreparedMount,
  daemonDirectories: readonly string[] = [],
): PreparedMount {
  const {hostPath, propagation, recursiveReadOnly} = mount;
  const holds = daemonDirectories.some(directory => isWithin(directory, cleanPath(hostPath)));
  return holds && propagation === 0 && !recursiveReadOnly ? {...mount, propagation: 1} : mount;
}

function criMount(mount: PreparedMount, host: Pick<HostAbilities, 'recursiveReadOnly'>): OciMount {
  const {containerPath, hostPath, readonly, recursiveReadOnly, propagation} = mount;
  const destination = cleanPath(containerPath);
  const propagationOption = PROPAGATIONS[propagation];
  if (destination === '/' || !containerPath.startsWith('/') || propagationOption === undefined) {
    throw invalid(
      `mount of ${JSON.stringify(hostPath)}: container path ${JSON.stringify(containerPath)} with propagation ${propagation}`,
      'use an absolute path below / and a propagation of 0, 1 or 2',
    );
  }
  if (recursiveReadOnly) checkRecursiveReadOnly(mount, host);
  const access = recursiveReadOnly ? ['ro', 'rro'] : [readonly ? 'ro' : 'rw'];
  return {
    destination,
    type: 'bind',
    source: hostPath,
    options: ['rbind', propagationOption, ...access],
  };
}

/** The kubelet knows the text's beginning, and makes it the pod's reason. */
function checkRecursiveReadOnly(
  {containerPath, readonly, propagation}: PreparedMount,
  host: Pick<HostAbilities, 'recursiveReadOnly'>,
): void {
  if (!readonly || propagation !== 0) {
    throw invalid(
      `mount ${containerPath} is recursively read-only without being read-only and private`,
      'set readOnly: true and no mountPropagation beside recursiveReadOnly',
    );
  }
  if (host.recursiveReadOnly) return;
  throw new CodedError<RuntimeErrorCode>(
    'ERR_RECURSIVE_READ_ONLY',
    `RROUnsupported: mount ${containerPath} cannot be made read-only with all below it`,
    {hint: 'it needs kernel 5.12 and runc 1.1; or use recursiveReadOnly: IfPossible'},
  );
}

function defaultMounts({files, privileged, readonlyRootfs}: MountsRequest): readonly OciMount[] {
  const access = privileged ? 'rw' : 'ro';
  const sticky = ['nosuid', 'noexec', 'nodev'];
  const file = (destination: string, source: string | undefined): readonly OciMount[] =>
    source === undefined
      ? []
      : [
          {
            destination,
            type: 'bind',
            source,
            // Read-only only with the root: other runtimes let a container write to its own files.
            options: ['bind', 'rprivate', readonlyRootfs ? 'ro' : 'rw', ...sticky],
          },
        ];
  return [
    {destination: '/proc', type: 'proc', source: 'proc', options: sticky},
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    {destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: sticky},
    {destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...sticky, access]},
    {
      destination: '/sys/fs/cgroup',
      type: 'cgroup',
      source: 'cgroup',
      options: [...sticky, 'relatime', access],
    },
    {
      destination: '/dev/shm',
      type: 'bind',
      source: files.shm,
      options: ['rbind', 'rprivate', 'rw', ...sticky],
    },
    ...file('/etc/resolv.conf', files.resolvConf),
    ...file('/etc/hostname', files.hostname),
    ...file('/etc/hosts', files.hosts),
  ];
}

/** `/a//b/../c/` → `/a/c`, without touching a file system. */
export function cleanPath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return `/${parts.join('/')}`;
}

function depth(path: string): number {
  return path.split('/').length;
}

function isWithin(path: string, parent: string): boolean {
  return parent === '/' || path === parent || path.startsWith(`${parent}/`);
}

/** proc(5): space, tab, newline and backslash are written as octal. */
function unescaped(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_match, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

function invalid(message: string, hint: string): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_REQUEST_INVALID', message, {hint});
}
