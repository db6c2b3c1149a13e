import {join} from 'node:path';
import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import type {CgroupLayout} from './layout.ts';

export type CgroupManager = 'systemd' | 'cgroupfs';

/** One cgroup: what the OCI runtime is told, and where it lies. */
export interface CgroupPaths {
  readonly version: 1 | 2;
  /** For the spec's `cgroupsPath`: `slice:slipway:id` or an absolute path; '' for our own ones. */
  readonly runcCgroupsPath: string;
  /** Below each hierarchy's root, with a leading slash. */
  readonly relativePath: string;
  /** Absolute folder by name of hierarchy: v1 by controller and `systemd`, v2 `unified`. */
  readonly directories: Readonly<Record<string, string>>;
}

export interface CgroupRequest {
  readonly layout: Pick<CgroupLayout, 'version' | 'hierarchies'>;
  readonly manager: CgroupManager;
  /** The sandbox's cgroup_parent: a slice, with or without its path, or an absolute path. */
  readonly parent: string;
}

/** First part of every cgroup name of ours, so that people see whose it is. */
const PREFIX = 'slipway';

/** Where pods go that nobody gave a parent (a CRI client other than the kubelet). */
const DEFAULT_SLICE = 'system.slice';
const DEFAULT_PARENT = '/slipway';

/**
 * A container's cgroup. systemd: runc asks systemd for the scope `slipway-<id>.scope` in the
 * slice; cgroupfs: runc makes `<parent>/slipway-<id>`.
 * @throws CodedError ERR_CGROUP_PARENT_INVALID.
 */
export function cgroupPathFor(request: CgroupRequest & {readonly id: string}): CgroupPaths {
  const {layout, manager, id} = request;
  const parent = parentPath(request);
  if (manager === 'systemd') {
    const slice = parent.slice(parent.lastIndexOf('/') + 1) || '-.slice';
    return cgroupAt(layout, join(parent, `${PREFIX}-${id}.scope`), `${slice}:${PREFIX}:${id}`);
  }
  const path = join(parent, `${PREFIX}-${id}`);
  return cgroupAt(layout, path, path);
}

/**
 * The cgroup of a container's monitor: a plain folder beside the container's, with either manager.
 * What a pod logs is then paid by the pod, and a restart of the daemon's unit does not touch it.
 *
 * Under systemd and v2 only a unit with Delegate= may be divided by others; a leaf that enables no
 * controller of its own does what that rule is for (systemd never has to undo it), and a
 * transient scope would cost a round trip over D-Bus for each container.
 * @throws CodedError ERR_CGROUP_PARENT_INVALID.
 */
export function monitorCgroupFor(request: CgroupRequest & {readonly id: string}): CgroupPaths {
  const {layout, manager, id} = request;
  const name = `${PREFIX}-conmon-${id}`;
  const paths = cgroupAt(layout, join(parentPath(request), name), '');
  const {hybrid} = layout.hierarchies;
  if (manager === 'systemd' || hybrid === undefined) return paths;
  // Nobody but systemd divides this hierarchy: folders of pods in it would never be removed.
  return {...paths, directories: {...paths.directories, hybrid: join(hybrid, name)}};
}

/**
 * The pod's cgroup, made by the kubelet; undefined when nobody gave the sandbox a parent: the
 * default one holds several pods.
 * @throws CodedError ERR_CGROUP_PARENT_INVALID.
 */
export function podCgroupFor(request: CgroupRequest): CgroupPaths | undefined {
  if (request.parent === '') return undefined;
  return cgroupAt(request.layout, parentPath(request), '');
}

/**
 * Where systemd puts a slice: the dashes of its name are its way from the root
 * (systemd.slice(5)): `a-b.slice` lies in `/a.slice/a-b.slice`, `-.slice` is the root.
 * @throws CodedError ERR_CGROUP_PARENT_INVALID for a name that systemd would refuse.
 */
export function expandSlice(slice: string): string {
  if (slice === '-.slice') return '/';
  const name = slice.slice(0, -'.slice'.length);
  const parts = name.split('-');
  if (!slice.endsWith('.slice') || !/^[A-Za-z0-9:_.\\@-]+$/.test(name) || parts.includes('')) {
    throw new CodedError<RuntimeErrorCode>(
      'ERR_CGROUP_PARENT_INVALID',
      `cgroup parent ${JSON.stringify(slice)} is not a slice, which the systemd manager needs`,
      {hint: 'set cgroupDriver: systemd in the kubelet, or cgroup_manager = "cgroupfs" here'},
    );
  }
  return `/${parts.map((_part, index) => `${parts.slice(0, index + 1).join('-')}.slice`).join('/')}`;
}

function parentPath({manager, parent}: CgroupRequest): string {
  if (manager === 'systemd') {
    const slice = parent.slice(parent.lastIndexOf('/') + 1);
    return expandSlice(slice === '' ? DEFAULT_SLICE : slice);
  }
  const path = parent === '' ? DEFAULT_PARENT : parent;
  if (path.startsWith('/') && !path.split('/').includes('..') && !path.includes('\0')) return path;
  throw new CodedError<RuntimeErrorCode>(
    'ERR_CGROUP_PARENT_INVALID',
    `cgroup parent ${JSON.stringify(parent)} is not an absolute path without ".."`,
    {hint: 'set cgroupDriver: cgroupfs in the kubelet, or cgroup_manager = "systemd" here'},
  );
}

function cgroupAt(
  {version, hierarchies}: CgroupRequest['layout'],
  relativePath: string,
  runcCgroupsPath: string,
): CgroupPaths {
  const directories: Record<string, string> = {};
  for (const [name, root] of Object.entries(hierarchies)) {
    directories[name] = join(root, relativePath);
  }
  return {version, runcCgroupsPath, relativePath, directories};
}
