import type {MessageInitShape} from '@bufbuild/protobuf';
import {
  ContainerState,
  type ContainerSchema,
  type ContainerStatusSchema,
  type ImageSpecSchema,
} from '../cri/gen/cri-v1_pb.ts';
import type {Container, ContainerStatus} from '../store/container.ts';

/** A container as lists show it. */
export function containerMessage(container: Container): MessageInitShape<typeof ContainerSchema> {
  const {id, metadata, status} = container;
  return {
    id,
    podSandboxId: metadata.sandboxId,
    metadata: metadata.container,
    image: imageSpec(container),
    imageRef: metadata.imageRef,
    state: containerState(status.state),
    createdAt: metadata.createdAtNs,
    labels: metadata.labels,
    annotations: metadata.annotations,
    imageId: metadata.imageId,
  };
}

/** A container as ContainerStatus and events show it. */
export function containerStatusMessage(
  container: Container,
): MessageInitShape<typeof ContainerStatusSchema> {
  const {id, metadata, status} = container;
  const {uid, gid, supplementalGroups} = metadata.user;
  return {
    id,
    metadata: metadata.container,
    state: containerState(status.state),
    createdAt: metadata.createdAtNs,
    startedAt: status.startedAtNs,
    finishedAt: status.finishedAtNs,
    exitCode: status.exitCode,
    image: imageSpec(container),
    imageRef: metadata.imageRef,
    reason: status.reason,
    message: status.message,
    labels: metadata.labels,
    annotations: metadata.annotations,
    mounts: metadata.mounts.map(mount => ({...mount})),
    logPath: metadata.logPath,
    ...(status.resources
      ? {
          resources: {
            linux: {...status.resources, hugepageLimits: [...status.resources.hugepageLimits]},
          },
        }
      : {}),
    imageId: metadata.imageId,
    user: {
      linux: {
        uid: BigInt(uid),
        gid: BigInt(gid),
        supplementalGroups: supplementalGroups.map(BigInt),
      },
    },
    stopSignal: metadata.requestedStopSignal,
  };
}

function imageSpec({metadata}: Container): MessageInitShape<typeof ImageSpecSchema> {
  const {image, annotations, userSpecifiedImage, runtimeHandler} = metadata.image;
  return {image, annotations, userSpecifiedImage, runtimeHandler};
}

function containerState(state: ContainerStatus['state']): ContainerState {
  switch (state) {
    case 'created':
      return ContainerState.CONTAINER_CREATED;
    case 'running':
      return ContainerState.CONTAINER_RUNNING;
    case 'exited':
      return ContainerState.CONTAINER_EXITED;
    case 'creating':
      return ContainerState.CONTAINER_UNKNOWN;
    default:
      return state satisfies never;
  }
}
