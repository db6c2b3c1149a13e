/** What a host must have. The kinds are few and closed; each has its probe and its apply. */
export type Resource =
  | FileResource
  | DirectoryResource
  | LinkResource
  | ArtifactResource
  | PackageResource
  | ModuleResource
  | SysctlResource
  | UnitResource
  | SwapResource
  | LineBlockResource;

export type ResourceKindName = Resource['kind'];

/** `<kind>:<path, name or key>`, unique on a host. */
export type ResourceId = string;

/** A text file owned by root, replaced as a whole. */
export interface FileResource {
  readonly kind: 'file';
  readonly path: string;
  readonly content: string;
  readonly mode: number;
}

export interface DirectoryResource {
  readonly kind: 'directory';
  readonly path: string;
  readonly mode: number;
}

export interface LinkResource {
  readonly kind: 'link';
  readonly path: string;
  readonly target: string;
}

/** A verified binary at a path; `sha256` and `sizeBytes` come from the lock file. */
export interface ArtifactResource {
  readonly kind: 'artifact';
  readonly path: string;
  readonly artifact: string;
  readonly version: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly mode: number;
}

/** A package of the distribution, any version. */
export interface PackageResource {
  readonly kind: 'package';
  readonly name: string;
}

/** A kernel module that is loaded now; a file under modules-load.d keeps it so. */
export interface ModuleResource {
  readonly kind: 'module';
  readonly name: string;
}

/** A live kernel setting; a file under sysctl.d keeps it so. */
export interface SysctlResource {
  readonly kind: 'sysctl';
  readonly key: string;
  readonly value: string;
}

/**
 * A systemd unit. `restartOn` names the resources whose change restarts it: the digest it was
 * started with is recorded on the host, so a run that died between a write and the restart is
 * repaired by the next one.
 */
export interface UnitResource {
  readonly kind: 'unit';
  readonly name: string;
  readonly enabled: boolean;
  /** `unmanaged`: somebody else starts it (kubeadm the kubelet); once active it is restarted. */
  readonly running: 'yes' | 'unmanaged';
  readonly restartOn: readonly ResourceId[];
}

/** Swap is off, now and after a reboot. */
export interface SwapResource {
  readonly kind: 'swap';
  readonly state: 'off';
}

/** Lines between two markers in a file that others own too, e.g. /etc/hosts. */
export interface LineBlockResource {
  readonly kind: 'line-block';
  readonly path: string;
  readonly name: string;
  readonly lines: readonly string[];
}

export function resourceId(resource: Resource): ResourceId {
  switch (resource.kind) {
    case 'file':
    case 'directory':
    case 'link':
    case 'artifact':
      return `${resource.kind}:${resource.path}`;
    case 'package':
    case 'module':
    case 'unit':
      return `${resource.kind}:${resource.name}`;
    case 'sysctl':
      return `sysctl:${resource.key}`;
    case 'swap':
      return 'swap:all';
    case 'line-block':
      return `line-block:${resource.path}#${resource.name}`;
    default:
      return resource satisfies never;
  }
}
