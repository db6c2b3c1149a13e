import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import type {
  ImagePull,
  LayerDescriptor,
  NewImage,
  OpenLayer,
  StagedLayer,
  StoredImage,
} from './image-store.ts';
import type {LayerId} from './layer-id.ts';
import type {LayerStore} from './layer-store.ts';

/** Makes an image known whose layers the pull has. */
export type CommitImage = (
  image: NewImage,
  has: (id: LayerId) => boolean,
  signal: AbortSignal,
) => Promise<StoredImage>;

/** See `ImagePull`: what a pull has staged or found is held until it is disposed. */
export class LayerPull implements ImagePull {
  readonly #layers: LayerStore;
  readonly #commit: CommitImage;
  readonly #held = new Set<LayerId>();
  readonly #working = new Set<Promise<unknown>>();
  readonly #ended = new AbortController();

  constructor(layers: LayerStore, commit: CommitImage) {
    this.#layers = layers;
    this.#commit = commit;
  }

  async stageLayer(
    layer: LayerDescriptor,
    open: OpenLayer,
    signal: AbortSignal,
  ): Promise<StagedLayer> {
    this.#ended.signal.throwIfAborted();
    if (!this.#held.has(layer.id)) {
      this.#held.add(layer.id);
      this.#layers.hold(layer.id);
    }
    const either = AbortSignal.any([signal, this.#ended.signal]);
    return {reused: await this.#during(this.#layers.stage(layer, open, either))};
  }

  async commitImage(image: NewImage, signal: AbortSignal): Promise<StoredImage> {
    this.#ended.signal.throwIfAborted();
    const either = AbortSignal.any([signal, this.#ended.signal]);
    return this.#during(this.#commit(image, id => this.#held.has(id), either));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort(pullEnded());
    await Promise.allSettled(this.#working);
    for (const id of this.#held) this.#layers.release(id);
    this.#held.clear();
  }

  /** What is under way keeps its layers, also where nobody awaited it before the end. */
  async #during<T>(work: Promise<T>): Promise<T> {
    this.#working.add(work);
    try {
      return await work;
    } finally {
      this.#working.delete(work);
    }
  }
}

function pullEnded(): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_REQUEST_CANCELLED', 'the pull was given up', {
    hint: 'pull the image again',
  });
}
