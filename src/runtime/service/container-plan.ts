import {join} from 'node:path';
import {formatReference, parseReference} from '#shared/oci/reference';
import {cgroupPathFor} from '../cgroup/paths.ts';
import type {ImageSpec} from '../cri/gen/cri-v1_pb.ts';
import type {StoredImage} from '../image/image-store.ts';
import {containerSpec} from '../spec/container-spec.ts';
import type {
  ContainerNamespaces,
  ContainerResources,
  PreparedDevice,
  PreparedMount,
} from '../spec/input.ts';
import type {OciDevice, OciSpec} from '../spec/oci-spec.ts';
import {noResources} from '../spec/resources.ts';
import {stopSignal} from '../spec/stop-signal.ts';
import type {ContainerMetadata} from '../store/container.ts';
import type {Sandbox} from '../store/sandbox.ts';
import {statusMounts} from './container-mounts.ts';
import {pidNamespace} from './container-namespaces.ts';
import {containerLogPath, type CheckedContainer} from './container-request.ts';
import {containerUser} from './container-user.ts';
import type {Dependencies} from './dependencies.ts';

/** All that is decided about a container before anything of it runs. */
export interface ContainerPlan {
  readonly metadata: ContainerMetadata;
  readonly spec: OciSpec;
  readonly resources: ContainerResources;
}

export interface PlanInput {
  readonly id: string;
  readonly name: string;
  readonly checked: CheckedContainer;
  readonly sandbox: Sandbox;
  readonly image: StoredImage;
  /** Host path of the mounted root file system. */
  readonly rootfs: string;
  readonly mounts: readonly PreparedMount[];
  readonly devices: readonly PreparedDevice[];
  readonly hostDevices: readonly OciDevice[];
  readonly localhostSeccomp: unknown;
}

/** Decides a container's record and OCI spec; what the machine forbids is clamped, and said once. */
export function planContainer(input: PlanInput, deps: Dependencies): ContainerPlan {
  const {config} = input.checked;
  const context = config.linux?.securityContext;
  const {image, rootfs} = input;
  const user = containerUser(context, {imageUser: image.config.user, rootfs});
  const namespaces = planNamespaces(input, deps);
  const {spec, notices} = containerSpec({
    ...input,
    containerId: input.id,
    sandboxId: input.sandbox.id,
    sandbox: {
      metadata: input.sandbox.metadata.pod,
      annotations: input.sandbox.metadata.annotations,
    },
    container: config,
    image: image.config,
    user,
    namespaces,
    files: sandboxFiles(input.sandbox, deps),
    hostname: input.sandbox.metadata.hostname,
    ...cgroup(input, deps),
    daemonDirectories: [deps.config.root, deps.config.state],
    host: deps.host(input.sandbox.metadata.runtimeHandler),
    defaults: {
      capabilities: deps.config.defaultCapabilities,
      ulimits: deps.config.defaultUlimits,
      env: deps.config.defaultEnv,
      pidsLimit: deps.config.pidsLimit,
    },
  });
  for (const notice of notices) deps.log.once(notice, notice);
  const {uid, gid, additionalGids} = user;
  const ownPidNamespace = namespaces.pid === 'container';
  const metadata = describe(input, {
    user: {uid, gid, supplementalGroups: additionalGids},
    ownPidNamespace,
    runtimeHandler: deps.runtimes.get(input.sandbox.metadata.runtimeHandler).name,
    createdAtNs: deps.clock.now(),
  });
  return {metadata, spec, resources: plainResources(config.linux?.resources)};
}

type Decided = Pick<
  ContainerMetadata,
  'user' | 'ownPidNamespace' | 'runtimeHandler' | 'createdAtNs'
>;

function describe(input: PlanInput, decided: Decided): ContainerMetadata {
  const {id, name, sandbox, image, rootfs} = input;
  const {config, metadata, image: asked} = input.checked;
  return {
    id,
    name,
    sandboxId: sandbox.id,
    container: metadata,
    image: {
      image: imageName(asked, image),
      annotations: {...asked.annotations},
      userSpecifiedImage: asked.userSpecifiedImage,
      runtimeHandler: asked.runtimeHandler,
    },
    imageId: image.id,
    imageRef: image.digests[0] ?? image.id,
    labels: {...config.labels},
    annotations: {...config.annotations},
    logPath: containerLogPath(sandbox.metadata.logDirectory, {id, logPath: config.logPath}),
    mounts: statusMounts(config.mounts),
    stopSignal: stopSignal(config.stopSignal, image.config.stopSignal),
    requestedStopSignal: config.stopSignal,
    tty: config.tty,
    stdin: config.stdin,
    stdinOnce: config.stdinOnce,
    privileged: config.linux?.securityContext?.privileged ?? false,
    cgroupParent: sandbox.metadata.cgroupParent,
    rootfs,
    ...decided,
  };
}

/**
 * What people see as the container's image: a kubelet asks by id, so that its own name of the image
 * is given where the image has it, else the first that it has.
 */
function imageName({image: asked, userSpecifiedImage}: ImageSpec, {id, tags}: StoredImage): string {
  if (asked !== id && `sha256:${asked}` !== id) return asked;
  return tags.find(tag => tag === fullName(userSpecifiedImage)) ?? tags[0] ?? asked;
}

function fullName(name: string): string | undefined {
  try {
    const reference = parseReference(name);
    return formatReference({tag: 'latest', ...reference});
  } catch {
    return undefined; // not a name; it is for people only
  }
}

function planNamespaces({sandbox, checked}: PlanInput, deps: Dependencies): ContainerNamespaces {
  const {namespaces} = sandbox.metadata;
  const pinned = (kind: string): string => join(deps.layout.sandbox(sandbox.id).namespaces, kind);
  const own = namespaces.network === 'pod';
  return {
    network: own ? pinned('net') : undefined,
    uts: own ? pinned('uts') : undefined,
    ipc: namespaces.ipc === 'pod' ? pinned('ipc') : undefined,
    pid: pidNamespace(checked.config.linux?.securityContext?.namespaceOptions, sandbox, deps),
  };
}

function sandboxFiles({id, metadata}: Sandbox, {layout}: Dependencies) {
  const paths = layout.sandbox(id);
  return {
    resolvConf: paths.resolvConf,
    hostname: paths.hostname,
    // The kubelet mounts a file of its own; this is for other clients.
    hosts: metadata.namespaces.network === 'node' ? '/etc/hosts' : undefined,
    shm: metadata.namespaces.ipc === 'node' ? '/dev/shm' : paths.shm,
  };
}

function cgroup({id, sandbox}: PlanInput, {cgroups, config}: Dependencies) {
  const {runcCgroupsPath} = cgroupPathFor({
    layout: cgroups,
    manager: config.cgroupManager,
    parent: sandbox.metadata.cgroupParent,
    id,
  });
  return {cgroupsPath: runcCgroupsPath, systemdCgroup: config.cgroupManager === 'systemd'};
}

/** Fields only: a message knows of its schema, which has no place in a record. */
function plainResources(asked: ContainerResources | undefined): ContainerResources {
  if (!asked) return noResources;
  const {cpuPeriod, cpuQuota, cpuShares, memoryLimitInBytes, memorySwapLimitInBytes} = asked;
  const {oomScoreAdj, cpusetCpus, cpusetMems, hugepageLimits, unified} = asked;
  return {
    cpuPeriod,
    cpuQuota,
    cpuShares,
    memoryLimitInBytes,
    oomScoreAdj,
    cpusetCpus,
    cpusetMems,
    hugepageLimits: hugepageLimits.map(({pageSize, limit}) => ({pageSize, limit})),
    unified: {...unified},
    memorySwapLimitInBytes,
  };
}
