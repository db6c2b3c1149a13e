import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import {containerApparmor} from './apparmor.ts';
import {containerCapabilities} from './capabilities.ts';
import {containerDevices} from './devices.ts';
import type {ContainerNamespaces, ContainerSecurityContext, ContainerSpecInput} from './input.ts';
import {oomScoreAdjustment, processLimits} from './limits.ts';
import {containerMounts} from './mounts.ts';
import type {OciNamespace, OciSpec} from './oci-spec.ts';
import {protectedPaths} from './protected-paths.ts';
import {processArguments, processEnvironment, workingDirectory} from './process.ts';
import {containerResources} from './resources.ts';
import {containerSeccomp} from './seccomp.ts';

/** The version of the OCI runtime specification that the spec is written in. */
const OCI_VERSION = '1.2.0';

/** CRI NamespaceMode NODE; the only mode of user namespaces that the daemon has. */
const NODE = 2;

/** A container's spec, and what the machine made us change in it, each to be logged once. */
export interface ContainerSpec {
  readonly spec: OciSpec;
  readonly notices: readonly string[];
}

/**
 * Decides the whole OCI spec of a container from values alone.
 * @throws CodedError ERR_REQUEST_INVALID, ERR_NOT_IMPLEMENTED (user namespaces),
 *   ERR_SECCOMP_PROFILE_INVALID, ERR_RECURSIVE_READ_ONLY: each names the field.
 */
export function containerSpec(input: ContainerSpecInput): ContainerSpec {
  const context: Partial<ContainerSecurityContext> = input.container.linux?.securityContext ?? {};
  const {privileged = false, readonlyRootfs = false} = context;
  refuseUserNamespace(context);
  const {container, image, host, defaults} = input;
  const wanted = container.linux?.resources;

  const capabilities = containerCapabilities({
    defaults: defaults.capabilities,
    add: context.capabilities?.addCapabilities ?? [],
    drop: context.capabilities?.dropCapabilities ?? [],
    ambient: context.capabilities?.addAmbientCapabilities ?? [],
    privileged,
    held: host.capabilities,
  });
  const seccomp = containerSeccomp({
    profile: context.seccomp,
    privileged,
    capabilities: capabilities.capabilities.bounding,
    host,
    localhost: input.localhostSeccomp,
  });
  const apparmor = containerApparmor({profile: context.apparmor, privileged, host});
  const limits = processLimits(defaults.ulimits, host);
  const oom = oomScoreAdjustment(wanted?.oomScoreAdj ?? 0n, host);
  const devices = containerDevices({...input, privileged});
  const resources = containerResources(wanted, {host, pidsLimit: defaults.pidsLimit});
  const mounts = containerMounts({...input, privileged, readonlyRootfs});

  return {
    spec: {
      ociVersion: OCI_VERSION,
      process: {
        terminal: container.tty,
        user: input.user,
        args: processArguments(container, image),
        env: processEnvironment({
          defaults: defaults.env,
          image: image.env ?? [],
          container: container.envs,
          hostname: input.hostname,
          terminal: container.tty,
        }),
        cwd: workingDirectory(container, image),
        capabilities: capabilities.capabilities,
        rlimits: limits.rlimits,
        noNewPrivileges: context.noNewPrivs ?? false,
        oomScoreAdj: oom.oomScoreAdj,
        ...(apparmor === undefined ? {} : {apparmorProfile: apparmor}),
      },
      root: {path: input.rootfs, readonly: readonlyRootfs},
      mounts: mounts.mounts,
      annotations: annotations(input),
      linux: {
        namespaces: namespaces(input.namespaces, {privileged, cgroupVersion: host.cgroupVersion}),
        cgroupsPath: input.cgroupsPath,
        resources: {devices: devices.rules, ...resources.resources},
        devices: devices.devices,
        ...protectedPaths(context),
        ...(mounts.rootfsPropagation === undefined
          ? {}
          : {rootfsPropagation: mounts.rootfsPropagation}),
        ...(seccomp.seccomp === undefined ? {} : {seccomp: seccomp.seccomp}),
      },
    },
    notices: [capabilities, seccomp, limits, oom, resources].flatMap(part => part.notices),
  };
}

function refuseUserNamespace({namespaceOptions}: Partial<ContainerSecurityContext>): void {
  const mode = namespaceOptions?.usernsOptions?.mode ?? NODE;
  if (mode === NODE) return;
  throw new CodedError<RuntimeErrorCode>(
    'ERR_NOT_IMPLEMENTED',
    `user namespaces (mode ${mode}) are not supported by this runtime`,
    {hint: 'leave hostUsers unset or true in the pod'},
  );
}

/** A namespace of the host is one that the spec does not name: the runtime stays where it is. */
function namespaces(
  {network, ipc, uts, pid}: ContainerNamespaces,
  {privileged, cgroupVersion}: {readonly privileged: boolean; readonly cgroupVersion: 1 | 2},
): readonly OciNamespace[] {
  const joined = (type: OciNamespace['type'], path: string | undefined): readonly OciNamespace[] =>
    path === undefined ? [] : [{type, path}];
  return [
    {type: 'mount'},
    ...(pid === 'container' ? [{type: 'pid'} as const] : []),
    ...(typeof pid === 'object' ? joined('pid', pid.path) : []),
    ...joined('network', network),
    ...joined('ipc', ipc),
    ...joined('uts', uts),
    // Under v1 the kernel file system is bound by subtree; a privileged container of v2 sees all.
    ...(cgroupVersion === 2 && !privileged ? [{type: 'cgroup'} as const] : []),
  ];
}

/** What other OCI runtimes (gVisor, Kata) and people reading `runc state` look for. */
function annotations(input: ContainerSpecInput): Readonly<Record<string, string>> {
  const {sandbox, container} = input;
  return {
    'io.kubernetes.cri.container-type': 'container',
    'io.kubernetes.cri.sandbox-id': input.sandboxId,
    'io.kubernetes.cri.container-name': container.metadata?.name ?? '',
    'io.kubernetes.cri.sandbox-name': sandbox.metadata?.name ?? '',
    'io.kubernetes.cri.sandbox-namespace': sandbox.metadata?.namespace ?? '',
    'io.kubernetes.cri.sandbox-uid': sandbox.metadata?.uid ?? '',
    // The scope that runc asks systemd for: gone with its last process, stopped before the daemon.
    ...(input.systemdCgroup
      ? {
          'org.systemd.property.CollectMode': "'inactive-or-failed'",
          'org.systemd.property.DefaultDependencies': 'true',
          'org.systemd.property.After': "['slipway-cri.service']",
        }
      : {}),
  };
}
