import {createLog} from '#shared/log';
import {conditionIsTrue} from '#certificates/apis/conditions';
import {certificates} from '#certificates/apis/resources';
import {type ApiClient, keyOf} from '#certificates/kube/client';
import {systemClock} from '#certificates/kube/clock';
import {startReflector} from '#certificates/kube/reflector';
import {createView} from '#certificates/kube/view';

/** Tells how many Certificates of a namespace a client sees Ready. */
export interface ReadyWatch extends AsyncDisposable {
  /** Resolves with the time (`performance.now`) at which so many were Ready. */
  readonly count: (wanted: number) => Promise<number>;
  readonly ready: () => number;
}

interface Seen {
  readonly key: string;
  readonly resourceVersion: string;
  readonly isReady: boolean;
}

/** Resolves when it has seen the namespace once. */
export async function watchReady(
  client: ApiClient,
  namespace: string,
  signal: AbortSignal,
): Promise<ReadyWatch> {
  let ready = 0;
  let waiting: {readonly wanted: number; readonly resolve: (at: number) => void} | undefined;
  const view = createView<Seen>({
    indexes: {},
    onChange: ({before, after}) => {
      ready += Number(after?.isReady ?? false) - Number(before?.isReady ?? false);
      if (waiting !== undefined && ready >= waiting.wanted) waiting.resolve(performance.now());
    },
  });
  const reflector = startReflector({
    client,
    resource: certificates,
    namespace,
    transform: object => ({
      key: keyOf(object),
      resourceVersion: object.metadata.resourceVersion ?? '',
      isReady: conditionIsTrue(object.status?.conditions, 'Ready'),
    }),
    view,
    log: createLog({level: 'error', write: line => process.stderr.write(line)}),
    clock: systemClock,
    signal,
  });
  await reflector.synced;
  return {
    ready: () => ready,
    count: wanted =>
      new Promise((resolve, reject) => {
        if (ready >= wanted) {
          resolve(performance.now());
          return;
        }
        waiting = {wanted, resolve};
        signal.addEventListener('abort', () => {
          reject(new Error(`${ready} of ${wanted} are Ready: ${String(signal.reason)}`));
        });
      }),
    [Symbol.asyncDispose]: () => reflector[Symbol.asyncDispose](),
  };
}
