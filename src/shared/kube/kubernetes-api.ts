import type {KubernetesObject, ObjectKind, ObjectReference} from './object.ts';

export interface CallOptions {
  readonly signal: AbortSignal;
}

export interface ListOptions extends CallOptions {
  readonly namespace?: string; // without it, of all namespaces
  readonly labelSelector?: string; // e.g. `app=flannel`
  readonly fieldSelector?: string; // e.g. `metadata.name=h1`
}

export interface ApplyOptions extends CallOptions {
  /** Who owns the fields; default {@link FIELD_MANAGER}. */
  readonly fieldManager?: string;
  /** Takes fields over that others own; default true: what we apply, we decide. */
  readonly force?: boolean;
  /** The API answers as if it had done it, and keeps nothing; default false. */
  readonly dryRun?: boolean;
}

export interface Applied<T extends KubernetesObject = KubernetesObject> {
  /** Judged by what users and controllers see: status and bookkeeping do not count. */
  readonly change: 'created' | 'changed' | 'unchanged';
  readonly before: T | undefined;
  readonly after: T;
}

export interface DeleteOptions extends CallOptions {
  readonly gracePeriodSeconds?: number; // 0: at once
  readonly propagation?: 'Background' | 'Foreground' | 'Orphan';
}

export interface WaitOptions extends ListOptions {
  readonly timeoutMs: number;
  /** Completes "waited 60 s for …" in the error, e.g. `DaemonSet kube-flannel to be available`. */
  readonly description: string;
}

export interface LogOptions extends CallOptions {
  readonly container?: string;
  readonly tailLines?: number;
  readonly previous?: boolean;
}

export interface ExecOptions extends CallOptions {
  readonly container?: string;
  /** Written to the command's standard input, which is then closed; without it, none. */
  readonly stdin?: string | Uint8Array;
}

export interface ExecResult {
  /** 0 to 255. A command that failed is a result, not an error. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface PodName {
  readonly namespace: string;
  readonly name: string;
}

/** Owner of the fields that we apply (server-side apply, `managedFields`). */
export const FIELD_MANAGER = 'provision';

/**
 * The API of one cluster, reached with one kubeconfig.
 *
 * Every call rejects with the signal's reason when aborted, and otherwise with a CodedError:
 * ERR_API_UNREACHABLE (nobody answered within the time for retries), ERR_API_UNTRUSTED (the server
 * is not the one the kubeconfig's CA vouches for), ERR_API_REFUSED (an ApiRefusedError),
 * ERR_API_RESPONSE_INVALID (not JSON, or larger than we read).
 */
export interface KubernetesApi extends AsyncDisposable {
  /** Where requests go, e.g. `https://127.0.0.1:6443`. */
  readonly server: string;

  /** One question to /readyz, never repeated: false also when nobody answers. */
  isReady(options: CallOptions): Promise<boolean>;

  /** Resolves to undefined when there is no such object. */
  get<T extends KubernetesObject>(
    reference: ObjectReference<T>,
    options: CallOptions,
  ): Promise<T | undefined>;

  list<T extends KubernetesObject>(
    kind: ObjectKind<T>,
    options: ListOptions,
  ): Promise<readonly T[]>;

  /** Server-side apply: creates the object, or sets exactly the fields that we name. */
  apply<T extends KubernetesObject>(object: T, options: ApplyOptions): Promise<Applied<T>>;

  /** JSON merge patch (RFC 7396) of anything but the status; the object must exist. */
  patch<T extends KubernetesObject>(
    reference: ObjectReference<T>,
    patch: Readonly<Record<string, unknown>>,
    options: CallOptions,
  ): Promise<T>;

  /** Resolves to false when there was nothing to delete. Does not wait for finalizers. */
  delete(reference: ObjectReference, options: DeleteOptions): Promise<boolean>;

  /**
   * Watches all objects of a kind that the options select, and calls `decide` with their present
   * state (never with single events) until it returns something other than undefined.
   *
   * @throws CodedError ERR_API_TIMEOUT
   */
  waitFor<T extends KubernetesObject, R>(
    kind: ObjectKind<T>,
    decide: (objects: readonly T[]) => R | undefined,
    options: WaitOptions,
  ): Promise<R>;

  logs(pod: PodName, options: LogOptions): Promise<string>;

  /**
   * Runs a command in a container of a running pod.
   *
   * @throws CodedError ERR_POD_EXEC when the command could not be started or the stream broke
   */
  exec(pod: PodName, argv: readonly string[], options: ExecOptions): Promise<ExecResult>;
}
