import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import {containerAnnotations} from './annotations.ts';
import {containerApparmor} from './apparmor.ts';
import {containerCapabilities} from './capabilities.ts';
import {containerDevices} from './devices.ts';
import type {ContainerSecurityContext, ContainerSpecInput} from './input.ts';
import {oomScoreAdjustment, processLimits} from './limits.ts';
import {containerMounts} from './mounts.ts';
import {ociNamespaces} from './namespaces.ts';
import {OCI_VERSION, type OciSpec} from './oci-spec.ts';
import {protectedPaths} from './protected-paths.ts';
import {processArguments, processEnvironment, workingDirectory} from './process.ts';
import {containerResources} from './resources.ts';
import {containerSeccomp} from './seccomp.ts';

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

  const {capabilities, seccomp} = capabilitiesAndFilter(input, context);
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
        ...(apparmor.profile === undefined ? {} : {apparmorProfile: apparmor.profile}),
      },
      root: {path: input.rootfs, readonly: readonlyRootfs},
      mounts: mounts.mounts,
      annotations: containerAnnotations({
        type: 'container',
        sandboxId: input.sandboxId,
        sandbox: input.sandbox,
        containerName: container.metadata?.name,
        systemdCgroup: input.systemdCgroup,
      }),
      linux: {
        namespaces: ociNamespaces(input.namespaces, {
          privileged,
          cgroupVersion: host.cgroupVersion,
        }),
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
    notices: [capabilities, seccomp, apparmor, limits, oom, resources].flatMap(
      part => part.notices,
    ),
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

/** The filter of RuntimeDefault depends on what the process may do. */
function capabilitiesAndFilter(
  {host, defaults, localhostSeccomp}: ContainerSpecInput,
  context: Partial<ContainerSecurityContext>,
): {
  readonly capabilities: ReturnType<typeof containerCapabilities>;
  readonly seccomp: ReturnType<typeof containerSeccomp>;
} {
  const {privileged = false} = context;
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
    localhost: localhostSeccomp,
  });
  return {capabilities, seccomp};
}
