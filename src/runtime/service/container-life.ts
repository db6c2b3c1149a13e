import type {StopLoop} from '../oci/stop.ts';

/** What the daemon knows of a living container beyond its record; rebuilt by a restart. */
export interface ContainerLife {
  /** StartContainer at work; an exit is dealt with after it, so that events keep their order. */
  starting: Promise<unknown> | undefined;
  /** The one loop that stops it; every later caller joins it. */
  stop: StopLoop | undefined;
  /** Resolved when the record says "exited". */
  readonly exited: PromiseWithResolvers<undefined>;
  /** Taking down what an ended container leaves: mounts, the OCI runtime's state, processes. */
  release: Promise<void> | undefined;
}

/** One {@link ContainerLife} per container, made when first asked for. */
export class ContainerLives {
  readonly #byId = new Map<string, ContainerLife>();

  of(id: string): ContainerLife {
    const existing = this.#byId.get(id);
    if (existing) return existing;
    const life: ContainerLife = {
      starting: undefined,
      stop: undefined,
      exited: Promise.withResolvers<undefined>(),
      release: undefined,
    };
    this.#byId.set(id, life);
    return life;
  }

  forget(id: string): void {
    this.#byId.delete(id);
  }

  /** Resolves when nothing is being taken down any more: for a daemon that ends. */
  async settled(): Promise<void> {
    const releases = [...this.#byId.values()].flatMap(({release}) => release ?? []);
    await Promise.allSettled(releases);
  }
}
