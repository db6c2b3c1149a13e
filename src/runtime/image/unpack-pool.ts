import {addAbortSignal} from 'node:stream';
import {setTimeout as sleep} from 'node:timers/promises';
import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import type {OpenLayer} from './image-store.ts';
import type {LayerJob, RemoveJob, SettleJob, SyncJob, UnpackDone, UnpackJob} from './unpack-job.ts';
import {UnpackProcess} from './unpack-process.ts';

export interface UnpackPoolOptions {
  /** Layers unpacked at the same time, each in a process of its own. */
  readonly layersMax: number;
}

/** A pull's next layer comes within this, or the process was the burst's last. */
const IDLE_MS = 1_000;
/** Settling and syncing need no more, nor does removing: they wait for the disk. */
const CHORES_MAX = 1;
const REMOVALS_MAX = 1;

/** A worker that is writing to a slow disk cannot be killed before it is done. */
const KILLED_MS = 1_000;

/** What a container wrote can take minutes to remove, and no pull waits for that. */
type Kind = 'layer' | 'chore' | 'removal';

/**
 * The unpack workers of a daemon: started when there is work, one job at a time each, ended when
 * idle. A process per layer, so that the bytes of one cannot be taken for another's, and a layer
 * that has to be given up ends with its process.
 */
export class UnpackPool {
  readonly #max: Readonly<Record<Kind, number>>;
  readonly #busy: Record<Kind, number> = {layer: 0, chore: 0, removal: 0};
  readonly #waiting: Record<Kind, ((value: undefined) => void)[]> = {
    layer: [],
    chore: [],
    removal: [],
  };
  readonly #idle: {readonly worker: UnpackProcess; readonly timer: NodeJS.Timeout}[] = [];
  readonly #running = new Set<UnpackProcess>();
  #isClosed = false;

  constructor({layersMax}: UnpackPoolOptions) {
    this.#max = {layer: layersMax, chore: CHORES_MAX, removal: REMOVALS_MAX};
  }

  /**
   * Transfers, verifies and unpacks a layer.
   *
   * @throws CodedError ERR_DIGEST_MISMATCH, ERR_LAYER_INVALID, ERR_DISK_FULL; what `open` throws;
   *   the signal's reason. Nothing writes into the job's directory any more then
   */
  async unpack(job: LayerJob, open: OpenLayer, signal: AbortSignal): Promise<UnpackDone> {
    return this.#withWorker('layer', signal, async worker => {
      const stop = new AbortController();
      worker.start(job);
      const answer = worker.answer();
      const fed = feed(worker, job, {open, signal: AbortSignal.any([signal, stop.signal])});
      answer.catch(() => undefined); // whichever of the two is late says nothing new
      fed.catch(() => undefined);
      try {
        await Promise.race([fed, answer]);
        return await answer;
      } catch (error) {
        signal.throwIfAborted(); // in the caller's words
        // A worker that gave up reading had a reason, which it tells.
        if (worker.gone.aborted) return await answer;
        throw error;
      } finally {
        stop.abort();
      }
    });
  }

  /** Runs one of the short jobs. @throws CodedError as the job does */
  async run(job: SettleJob | SyncJob | RemoveJob): Promise<UnpackDone> {
    const kind = job.kind === 'remove' ? 'removal' : 'chore';
    return this.#withWorker(kind, NEVER, async worker => {
      worker.start(job satisfies UnpackJob);
      return worker.answer();
    });
  }

  /** Ends all workers; layers under way fail. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const idle = this.#idle.splice(0);
    for (const {timer} of idle) clearTimeout(timer);
    await Promise.all(idle.map(({worker}) => worker.end()));
    const killed = Promise.all([...this.#running].map(worker => worker.kill()));
    await Promise.race([killed, sleep(KILLED_MS, undefined, {ref: false})]);
  }

  async #withWorker<T>(
    kind: Kind,
    signal: AbortSignal,
    work: (worker: UnpackProcess) => Promise<T>,
  ): Promise<T> {
    await this.#enter(kind, signal);
    try {
      const worker = this.#take();
      this.#running.add(worker);
      try {
        const result = await work(worker);
        this.#giveBack(worker);
        return result;
      } catch (error) {
        await worker.kill(); // it may be in the middle of a layer's bytes
        throw error;
      } finally {
        this.#running.delete(worker);
      }
    } finally {
      this.#leave(kind);
    }
  }

  async #enter(kind: Kind, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#busy[kind] < this.#max[kind]) {
      this.#busy[kind]++;
      return;
    }
    const {promise, resolve, reject} = Promise.withResolvers<undefined>();
    const abort = () => {
      this.#waiting[kind] = this.#waiting[kind].filter(waiter => waiter !== resolve);
      reject(signal.reason);
    };
    this.#waiting[kind].push(resolve);
    signal.addEventListener('abort', abort, {once: true});
    try {
      await promise; // its place was handed over
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  #leave(kind: Kind): void {
    const next = this.#waiting[kind].shift();
    if (next === undefined) this.#busy[kind]--;
    else next(undefined);
  }

  #take(): UnpackProcess {
    if (this.#isClosed) throw new Error('the image store is closed');
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      clearTimeout(idle.timer);
      if (!idle.worker.gone.aborted) return idle.worker;
    }
    return new UnpackProcess();
  }

  #giveBack(worker: UnpackProcess): void {
    if (this.#isClosed) {
      void worker.end();
      return;
    }
    const timer = setTimeout(() => {
      this.#idle.splice(this.#idle.indexOf(entry), 1);
      void worker.end();
    }, IDLE_MS);
    const entry = {worker, timer};
    this.#idle.push(entry);
  }
}

const NEVER = new AbortController().signal;

/** Sends a layer's bytes, asking for the rest where the source breaks off. */
async function feed(
  worker: UnpackProcess,
  {digest, sizeBytes}: LayerJob,
  {open, signal}: {readonly open: OpenLayer; readonly signal: AbortSignal},
): Promise<void> {
  let sentBytes = 0;
  let isFruitless = false;
  while (sentBytes < sizeBytes) {
    const offset = sentBytes;
    const stream = addAbortSignal(signal, await open(offset, signal));
    try {
      for await (const piece of stream as AsyncIterable<Uint8Array>) {
        if (sentBytes + piece.length > sizeBytes) throw wrongSize(digest, 'more', sizeBytes);
        sentBytes += piece.length;
        await worker.write(piece, signal);
      }
    } catch (error) {
      const isFinal = signal.aborted || worker.gone.aborted || error instanceof CodedError;
      if (isFinal || (isFruitless && sentBytes === offset)) throw error;
    }
    if (isFruitless && sentBytes === offset) throw wrongSize(digest, 'fewer', sizeBytes);
    isFruitless = sentBytes === offset;
  }
}

function wrongSize(digest: string, what: string, sizeBytes: number): CodedError<RuntimeErrorCode> {
  return new CodedError(
    'ERR_DIGEST_MISMATCH',
    `the layer ${digest} has ${what} than the ${sizeBytes} bytes that its manifest promises`,
    {hint: 'pull again; if it stays so, the registry or a proxy before it holds a damaged copy'},
  );
}
