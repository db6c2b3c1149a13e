import {containerAnnotations} from './annotations.ts';
import type {ContainerSpec} from './container-spec.ts';
import type {HostAbilities, SandboxConfig} from './input.ts';
import {oomScoreAdjustment} from './limits.ts';
import {ociNamespaces} from './namespaces.ts';
import {OCI_VERSION} from './oci-spec.ts';
import {protectedPaths} from './protected-paths.ts';
import {defaultSeccomp} from './seccomp.ts';

export interface SandboxSpecInput {
  readonly sandboxId: string;
  readonly sandbox: Pick<SandboxConfig, 'metadata'>;
  /**
   * A folder with `init` in it, a static program that waits when called with `-P`, and empty
   * `proc`, `dev` and `sys`; may be shared by all sandboxes.
   */
  readonly rootfs: string;
  readonly namespaces: {
    readonly network?: string | undefined;
    readonly ipc?: string | undefined;
    readonly uts?: string | undefined;
  };
  readonly cgroupsPath: string;
  readonly systemdCgroup: boolean;
  readonly host: HostAbilities;
}

/** Nobody's user and group in containers: it owns nothing and needs nothing. */
const NOBODY = 65_535;
/** The kubelet's value for what must outlive the containers (pkg/kubelet/qos). */
const OOM_SCORE_ADJ = -998n;
/** The least share of the CPU that the kernel knows. */
const CPU_SHARES = 2n;

/**
 * The spec of the process that holds a pod's shared PID namespace: an init that reaps orphans,
 * without capabilities, in a root file system that holds nothing but itself.
 */
export function sandboxSpec(input: SandboxSpecInput): ContainerSpec {
  const {host, sandboxId} = input;
  const oom = oomScoreAdjustment(OOM_SCORE_ADJ, host);
  return {
    spec: {
      ociVersion: OCI_VERSION,
      process: {
        terminal: false,
        user: {uid: NOBODY, gid: NOBODY, additionalGids: []},
        args: ['/init', '-P'],
        env: [],
        cwd: '/',
        capabilities: {bounding: [], effective: [], permitted: [], inheritable: [], ambient: []},
        rlimits: [],
        noNewPrivileges: true,
        oomScoreAdj: oom.oomScoreAdj,
      },
      root: {path: input.rootfs, readonly: true},
      mounts: [
        {
          destination: '/proc',
          type: 'proc',
          source: 'proc',
          options: ['nosuid', 'noexec', 'nodev', 'ro'],
        },
        // The OCI runtime makes its usual device nodes; not in the folder that others share.
        {
          destination: '/dev',
          type: 'tmpfs',
          source: 'tmpfs',
          options: ['nosuid', 'noexec', 'mode=755', 'size=64k'],
        },
      ],
      annotations: containerAnnotations({
        type: 'sandbox',
        sandboxId,
        sandbox: input.sandbox,
        containerName: undefined,
        systemdCgroup: input.systemdCgroup,
      }),
      linux: {
        namespaces: ociNamespaces(
          {...input.namespaces, pid: 'container'},
          {privileged: false, cgroupVersion: host.cgroupVersion},
        ),
        cgroupsPath: input.cgroupsPath,
        resources: {
          devices: [{allow: false, access: 'rwm'}],
          ...(host.controllers.has('cpu') ? {cpu: {shares: CPU_SHARES}} : {}),
        },
        devices: [],
        ...protectedPaths({}),
        ...(host.seccomp ? {seccomp: defaultSeccomp([], host)} : {}),
      },
    },
    notices: oom.notices,
  };
}
