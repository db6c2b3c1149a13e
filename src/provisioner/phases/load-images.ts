import {quote} from '#shared/quote';
import type {TaskContext} from '../engine/graph.ts';
import type {RuntimeName} from '../role/cluster.ts';
import type {Payload} from '../transport/connection.ts';
import {runScript} from './run-script.ts';
import type {HostSession} from './session.ts';

const LOAD_TIMEOUT_MS = 15 * 60_000;

/**
 * Reads an OCI archive from standard input. Nobody could fetch again what the kubelet collects, so
 * images are pinned (CRI `Image.pinned`): our daemon has their names in its configuration, containerd
 * takes a label.
 */
const LOAD: Readonly<Record<RuntimeName, (references: readonly string[]) => string>> = {
  slipway: () => 'slipway-cri image import - >/dev/null',
  containerd: references =>
    [
      'set -e',
      'ctr -n k8s.io images import - >/dev/null',
      `for image in ${quote(references)}; do ctr -n k8s.io images label "$image" io.cri-containerd.pinned=pinned >/dev/null; done`,
    ].join('\n'),
};

/**
 * Sends images over the host's own connection into its runtime: for sites without a registry.
 *
 * @param archive an OCI archive of these images
 * @throws CodedError ERR_IMAGE_PULL_FAILED, ERR_DISK_FULL and those of the connection
 */
export async function loadImages(
  {host, connection}: HostSession,
  {references, archive}: {readonly references: readonly string[]; readonly archive: Payload},
  {progress}: Pick<TaskContext, 'progress'>,
): Promise<number> {
  progress(`sending ${references.length} images, ${(archive.sizeBytes / 1e6).toFixed(0)} MB`);
  await runScript(connection, LOAD[host.runtime](references), {
    payload: archive,
    timeoutMs: LOAD_TIMEOUT_MS,
    failure: {
      code: 'ERR_IMAGE_PULL_FAILED',
      tried: 'load images that were sent',
      hint: `read the message, mend ${host.name}, then run the same command again`,
    },
  });
  return references.length;
}
