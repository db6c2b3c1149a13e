import {createHash} from 'node:crypto';
import type {Digest} from '#shared/oci/digest';

/**
 * Names a layer together with all layers under it, so that one unpacked tree serves every image
 * that starts with the same layers: the chain ID in lower-case hex, without `sha256:`.
 */
export type LayerId = string & {readonly brand: 'LayerId'};

/**
 * The chain IDs of an image's layers, lowest first: the first is its diff ID, each other is the
 * digest of the one under it and its own diff ID (OCI image specification 1.1, config.md, "Layer
 * ChainID").
 */
export function layerIdsOf(diffIds: readonly Digest[]): readonly LayerId[] {
  const ids: LayerId[] = [];
  for (const diffId of diffIds) {
    const lower = ids.at(-1);
    const chain = lower === undefined ? diffId : `sha256:${lower} ${diffId}`;
    const hex = lower === undefined ? diffId.slice('sha256:'.length) : sha256(chain);
    ids.push(hex as LayerId);
  }
  return ids;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
