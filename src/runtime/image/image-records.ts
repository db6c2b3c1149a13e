import type {Digest} from '#shared/oci/digest';
import type {ImageConfig} from './image-config.ts';
import type {LayerId} from './layer-id.ts';

/** An image as the journal has it. */
export interface ImageRecord {
  readonly id: Digest;
  readonly config: ImageConfig;
  readonly manifestDigest: Digest;
  readonly tags: readonly string[];
  readonly digests: readonly string[];
  readonly layers: readonly LayerId[];
}

/** An unpacked layer as the journal has it. */
export interface LayerRecord {
  readonly id: LayerId;
  /** Name of its tree in the store's folder of layers: short, as 127 of them share a mount option. */
  readonly directory: string;
  readonly sizeBytes: number;
  readonly diskBytes: number;
  readonly inodes: number;
}

/**
 * One line of the journal.
 *
 * `put` replaces images by id and adds layers, all or nothing; `remove` takes both away. `boot`
 * says in which boot of the machine the lines after it were written, and `durable` that the first
 * `lines` lines of the file, and all files that they tell of, are on the disk.
 */
export type JournalRecord =
  | {
      readonly kind: 'put';
      readonly images: readonly ImageRecord[];
      readonly layers: readonly LayerRecord[];
    }
  | {
      readonly kind: 'remove';
      readonly images: readonly Digest[];
      readonly layers: readonly LayerId[];
    }
  | {readonly kind: 'boot'; readonly id: string}
  | {readonly kind: 'durable'; readonly lines: number};

/** What the records add up to. */
export interface ImageRecords {
  readonly images: ReadonlyMap<Digest, ImageRecord>;
  readonly layers: ReadonlyMap<LayerId, LayerRecord>;
  /** False where some of it might not survive a loss of power yet. */
  readonly isDurable: boolean;
}

/**
 * Adds up a journal, one element per line; a line that could not be read is undefined.
 *
 * What was put but not known to be durable counts only if the machine has not booted since: its
 * files were in memory, and nobody looked which of them reached the disk. What was removed stays
 * removed: its files may be gone.
 *
 * @param bootId of the running machine, /proc/sys/kernel/random/boot_id
 */
export function addUpRecords(
  lines: readonly (JournalRecord | undefined)[],
  bootId: string,
): ImageRecords {
  const durableLines = lines.reduce(
    (most, record) => (record?.kind === 'durable' ? Math.max(most, record.lines) : most),
    0,
  );
  const images = new Map<Digest, ImageRecord>();
  const layers = new Map<LayerId, LayerRecord>();
  let bootOfLine = '';
  let isDurable = true;
  lines.forEach((record, index) => {
    if (record === undefined) return;
    if (record.kind === 'boot') bootOfLine = record.id;
    if (record.kind === 'put') {
      const isOnDisk = index < durableLines;
      if (!isOnDisk && bootOfLine !== bootId) return;
      isDurable &&= isOnDisk;
      for (const image of record.images) images.set(image.id, image);
      for (const layer of record.layers) layers.set(layer.id, layer);
    }
    if (record.kind === 'remove') {
      for (const id of record.images) images.delete(id);
      for (const id of record.layers) layers.delete(id);
    }
  });
  for (const {id, layers: needed} of images.values()) {
    if (!needed.every(layer => layers.has(layer))) images.delete(id);
  }
  return {images, layers, isDurable};
}
