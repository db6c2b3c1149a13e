import {messageOf} from '#shared/errors';
import type {Log} from '#shared/log';
import type {LayerRecord} from './image-records.ts';
import type {Journal} from './journal.ts';

export interface UnusedLayersOptions {
  readonly journal: Journal;
  /** Takes a layer's tree away. */
  readonly discard: (layer: LayerRecord) => void;
  readonly log: Log;
}

/**
 * Layers on their way out: the journal says so at once, before the same layer can be pulled again;
 * their trees go when the disk has that line, or a loss of power would leave images without them.
 */
export class UnusedLayers {
  readonly #options: UnusedLayersOptions;
  #layers: LayerRecord[] = [];
  #sweeping: Promise<void> | undefined;

  constructor(options: UnusedLayersOptions) {
    this.#options = options;
  }

  add(layer: LayerRecord): void {
    this.#options.journal.appendRemoval({kind: 'remove', images: [], layers: [layer.id]});
    this.#layers.push(layer);
    this.#sweeping ??= this.#sweep().finally(() => {
      this.#sweeping = undefined;
    });
  }

  /** Resolves once the trees of all unused layers are out of the way. */
  async swept(): Promise<void> {
    await this.#sweeping;
  }

  async #sweep(): Promise<void> {
    const {journal, discard, log} = this.#options;
    // Others of the same image follow in this turn of the event loop.
    await Promise.resolve();
    while (this.#layers.length > 0) {
      const layers = this.#layers;
      this.#layers = [];
      try {
        await journal.sync();
        for (const layer of layers) discard(layer);
      } catch (error) {
        log.warn('unused layers stay until the next start', {error: messageOf(error)});
      }
    }
  }
}
