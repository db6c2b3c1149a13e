import type {MessageInitShape} from '@bufbuild/protobuf';
import {ContainerEventType, type ContainerEventResponseSchema} from '../cri/gen/cri-v1_pb.ts';
import type {Clock} from '../store/clock.ts';
import type {ContainerStore} from '../store/container.ts';
import {EventStream, type LifecycleEventKind} from '../store/events.ts';
import type {Sandbox, SandboxStore} from '../store/sandbox.ts';
import {containerStatusMessage} from './container-message.ts';
import {sandboxStatusMessage} from './sandbox-message.ts';

/** CRI `ContainerEventResponse`. */
export type LifecycleEvent = MessageInitShape<typeof ContainerEventResponseSchema>;

const kinds: Readonly<Record<LifecycleEventKind, ContainerEventType>> = {
  created: ContainerEventType.CONTAINER_CREATED_EVENT,
  started: ContainerEventType.CONTAINER_STARTED_EVENT,
  stopped: ContainerEventType.CONTAINER_STOPPED_EVENT,
  deleted: ContainerEventType.CONTAINER_DELETED_EVENT,
};

/**
 * What GetContainerEvents streams. Each event holds the state of its whole pod right after the
 * change; a pod's own sandbox has events too, under its id.
 */
export class Lifecycle {
  readonly #stream = new EventStream<LifecycleEvent>();
  readonly #sandboxes: SandboxStore;
  readonly #containers: ContainerStore;
  readonly #clock: Clock;

  constructor(stores: {
    readonly sandboxes: SandboxStore;
    readonly containers: ContainerStore;
    readonly clock: Clock;
  }) {
    this.#sandboxes = stores.sandboxes;
    this.#containers = stores.containers;
    this.#clock = stores.clock;
  }

  /** A change of a container. */
  container(
    kind: LifecycleEventKind,
    {id, sandboxId}: {readonly id: string; readonly sandboxId: string},
  ): void {
    this.#stream.emit(() => this.#event(kind, id, this.#sandboxes.get(sandboxId)));
  }

  /** A change of a sandbox, which may have left the store already. */
  sandbox(kind: LifecycleEventKind, sandbox: Sandbox): void {
    this.#stream.emit(() => this.#event(kind, sandbox.id, sandbox));
  }

  subscribe(signal: AbortSignal): AsyncIterable<LifecycleEvent> {
    return this.#stream.subscribe(signal);
  }

  #event(
    kind: LifecycleEventKind,
    containerId: string,
    sandbox: Sandbox | undefined,
  ): LifecycleEvent | undefined {
    if (!sandbox) return undefined;
    return {
      containerId,
      containerEventType: kinds[kind],
      createdAt: this.#clock.now(),
      podSandboxStatus: sandboxStatusMessage(sandbox),
      containersStatuses: containersOf(sandbox.id, this.#containers).map(containerStatusMessage),
    };
  }
}

/** The finished containers of a sandbox, oldest first. */
export function containersOf(
  sandboxId: string,
  containers: ContainerStore,
): ReturnType<ContainerStore['list']> {
  return containers.list().filter(({metadata}) => metadata.sandboxId === sandboxId);
}
