import {existsSync, readdirSync} from 'node:fs';
import {arch, release} from 'node:os';
import {join} from 'node:path';
import type {CgroupLayout} from '../cgroup/layout.ts';
import type {RuntimeFeatures} from '../oci/runtime-features.ts';
import type {HostAbilities} from '../spec/input.ts';
import {hardLimits, ownCapabilities} from '../sys/processes.ts';
import {isApparmorEnabled} from './apparmor.ts';
import {readText} from './read-text.ts';

/** Bit of the capability that raises limits and lowers oom_score_adj (capability.h). */
const CAP_SYS_RESOURCE = 1n << 24n;

/** There where SELinux is on, enforcing or not. */
const SELINUX_FILE = '/sys/fs/selinux/enforce';

/** Recursively read-only mounts: mount_setattr(2). */
const RECURSIVE_READ_ONLY_KERNEL = {major: 5, minor: 12};

/**
 * What machine and OCI runtime can do, read once when the daemon starts.
 * @param features of the default OCI runtime; undefined (it cannot say) counts as "as usual".
 * @param machine what was asked of it before: see `answersX32` and `loadDefaultApparmorProfile`.
 */
export function readHostAbilities(
  cgroups: CgroupLayout,
  features: RuntimeFeatures | undefined,
  {x32, apparmorDefaultProfile}: Pick<HostAbilities, 'x32' | 'apparmorDefaultProfile'>,
): HostAbilities {
  const {effective, bounding} = ownCapabilities();
  const capabilities = effective & bounding;
  const canRaise = (capabilities & CAP_SYS_RESOURCE) !== 0n;
  return {
    capabilities,
    hardLimits: canRaise ? {} : hardLimits(),
    oomScoreAdjMin: canRaise ? -1000 : Number(readText('/proc/self/oom_score_adj') ?? 0),
    seccomp: (features?.seccomp ?? true) && /^Seccomp:/m.test(readText('/proc/self/status') ?? ''),
    apparmor: (features?.apparmor ?? false) && isApparmorEnabled(),
    apparmorDefaultProfile,
    selinux: existsSync(SELINUX_FILE),
    cgroupVersion: cgroups.version,
    controllers: cgroups.controllers,
    swapAccounting: accountsSwap(cgroups),
    recursiveReadOnly:
      (features?.mountOptions.has('rro') ?? false) &&
      isAtLeast(release(), RECURSIVE_READ_ONLY_KERNEL),
    architecture: arch(),
    x32,
  };
}

/** The files are there when the kernel counts; v2 shows them in every cgroup but the root. */
export function accountsSwap({version, root, hierarchies}: CgroupLayout): boolean {
  if (version === 1) {
    const memory = hierarchies['memory'];
    return memory !== undefined && existsSync(join(memory, 'memory.memsw.limit_in_bytes'));
  }
  return readdirSync(root, {withFileTypes: true}).some(
    entry => entry.isDirectory() && existsSync(join(root, entry.name, 'memory.swap.max')),
  );
}

/** Compares `6.18.44-fc` by its first two numbers. */
export function isAtLeast(
  kernel: string,
  {major, minor}: {readonly major: number; readonly minor: number},
): boolean {
  const [ownMajor = 0, ownMinor = 0] = kernel.split('.').map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}
