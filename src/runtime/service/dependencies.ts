import type {CgroupLayout} from '../cgroup/layout.ts';
import type {RuntimeConfig} from '../config/runtime-config.ts';
import type {ImagePuller} from '../image/pull.ts';
import type {ImageStore} from '../image/image-store.ts';
import type {Log} from '#shared/log';
import type {PodNetwork} from '../network/pod-network.ts';
import type {HostAbilities} from '../spec/input.ts';
import type {StatsCollector} from '../stats/collector.ts';
import type {WritableLayers} from '../stats/writable-layers.ts';
import type {Clock} from '../store/clock.ts';
import type {ContainerStore} from '../store/container.ts';
import type {Layout} from '../store/layout.ts';
import type {PodQueues} from '../store/queue.ts';
import type {SandboxStore} from '../store/sandbox.ts';
import type {SharedWork} from '../store/shared-work.ts';
import type {Streaming} from '../streaming/streaming.ts';
import type {ContainerLives} from './container-life.ts';
import type {Lifecycle} from './lifecycle-events.ts';
import type {DirectExec} from '../exec/exec-target.ts';
import type {Runtimes} from './runtimes.ts';

/** Everything that the RPCs work with; built once, in `daemon.ts`. */
export interface Dependencies {
  readonly config: RuntimeConfig;
  readonly log: Log;
  readonly clock: Clock;
  readonly layout: Layout;
  /** What the machine can do under a runtime handler; '' is the default one. */
  readonly host: (handler: string) => HostAbilities;
  readonly cgroups: CgroupLayout;
  /** Our own, as `Version` answers it: `0.1.0`. */
  readonly version: string;
  readonly images: ImageStore;
  readonly puller: ImagePuller;
  readonly network: PodNetwork;
  readonly runtimes: Runtimes;
  /** undefined where this machine cannot do it, or lacks the program. */
  readonly directExec: DirectExec | undefined;
  readonly sandboxes: SandboxStore;
  readonly containers: ContainerStore;
  readonly queues: PodQueues;
  /** RunPodSandbox and CreateContainer by name; stops and removals by `verb id`. */
  readonly work: SharedWork<string>;
  readonly stats: StatsCollector;
  readonly writableLayers: WritableLayers;
  readonly streaming: Streaming;
  readonly lives: ContainerLives;
  readonly events: Lifecycle;
  /** Aborts when the daemon ends; work that nobody waits for ends with it. */
  readonly ending: AbortSignal;
}
