import type {TaskContext} from '../engine/graph.ts';
import type {RuntimeName} from '../role/cluster.ts';
import type {Payload} from '../transport/connection.ts';
import {runScript} from './run-script.ts';
import type {HostSession} from './session.ts';

const LOAD_TIMEOUT_MS = 15 * 60_000;

/** Reads an OCI archive from standard input. */
const LOAD: Readonly<Record<RuntimeName, string>> = {
  slipway: 'slipway-cri image import - >/dev/null',
  containerd: 'ctr -n k8s.io images import - >/dev/null',
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
  await runScript(connection, LOAD[host.runtime], {
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
