import type {CgroupPaths} from '../cgroup/paths.ts';
import type {OciRuntime} from '../oci/oci-runtime.ts';
import type {ProcessIdentity} from '../sys/processes.ts';

/** A running container, as far as exec needs it. */
export interface ExecTarget {
  readonly id: string;
  /** Folder with config.json, on tmpfs; files of the exec live there while it runs. */
  readonly bundle: string;
  /** Its first process and its cgroup: what slipway-exec needs beside the bundle. */
  readonly init?: ProcessIdentity | undefined;
  readonly cgroup?: CgroupPaths;
}

/** A container whose first process is known to run. */
export interface DirectTarget extends ExecTarget {
  readonly init: ProcessIdentity;
  readonly cgroup: CgroupPaths;
}

/** Commands in containers by slipway-exec, where it can do what the OCI runtime would do. */
export interface DirectExec {
  /**
   * The program to start and the plan that it reads.
   *
   * @param config the container's config.json
   * @returns undefined when this command is better left to the OCI runtime
   */
  prepare(
    config: string,
    options: {
      readonly runtime: OciRuntime;
      readonly container: DirectTarget;
      readonly command: readonly string[];
    },
  ): {readonly program: string; readonly plan: Buffer} | undefined;
  /** Resolves when no seccomp filter is being learnt; those that are, are used from then on. */
  settled(): Promise<void>;
  close(): void;
}
