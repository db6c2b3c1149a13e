import {existsSync, readFileSync, readdirSync, realpathSync} from 'node:fs';
import {join} from 'node:path';

/** How cgroups are mounted on this machine. */
export interface CgroupLayout {
  readonly root: string;
  /** 2 when one hierarchy holds every controller, else 1. */
  readonly version: 1 | 2;
  /** True for v1 controllers with a v2 hierarchy beside them (systemd's "hybrid"). */
  readonly hybrid: boolean;
  /** Controllers that can be used: `cpu`, `memory`, `pids`, `hugetlb`, … */
  readonly controllers: ReadonlySet<string>;
  /**
   * Folder of each hierarchy by what it holds: v1 `cpu`, `cpuacct`, `memory`, …, `systemd` and,
   * where it is mounted beside them, `hybrid`; v2 only `unified`. Two names may lead to one folder
   * (`cpu,cpuacct`).
   */
  readonly hierarchies: Readonly<Record<string, string>>;
}

/** Where every distribution mounts cgroups (systemd, file-hierarchy(7)). */
const CGROUP_ROOT = '/sys/fs/cgroup';

/** Hierarchies by which an init system keeps its processes apart; no controllers. */
const NAMED = new Set(['systemd', 'hybrid', 'elogind', 'openrc']);

/**
 * Looks at what is mounted below `root`. The kernel has a `cgroup.controllers` at the top of a v2
 * hierarchy and a `cgroup.procs` in each v1 one; an empty folder is no hierarchy.
 */
export function cgroupLayout(root: string = CGROUP_ROOT): CgroupLayout {
  if (existsSync(join(root, 'cgroup.controllers'))) {
    return {
      root,
      version: 2,
      hybrid: false,
      controllers: new Set(words(join(root, 'cgroup.controllers'))),
      hierarchies: {unified: root},
    };
  }
  const hierarchies: Record<string, string> = {};
  for (const name of existsSync(root) ? readdirSync(root).sort() : []) {
    const directory = join(root, name);
    if (name === 'unified' || !existsSync(join(directory, 'cgroup.procs'))) continue;
    // `cpu` is often a link to `cpu,cpuacct`: one folder, whatever its names.
    for (const controller of name.split(',')) hierarchies[controller] = realpathSync(directory);
  }
  const hybrid = existsSync(join(root, 'unified', 'cgroup.controllers'));
  // In this mode systemd tells units apart by the v2 hierarchy.
  if (hybrid) hierarchies['hybrid'] = join(root, 'unified');
  return {
    root,
    version: 1,
    hybrid,
    controllers: new Set(Object.keys(hierarchies).filter(name => !NAMED.has(name))),
    hierarchies,
  };
}

function words(path: string): readonly string[] {
  return readFileSync(path, 'utf8')
    .split(/\s+/)
    .filter(word => word !== '');
}
