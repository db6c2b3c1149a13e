import {rm} from 'node:fs/promises';
import {isErrno} from '#shared/errors';
import type {SandboxLayout} from '../store/layout.ts';
import type {Sandbox} from '../store/sandbox.ts';
import {unmount} from '../sys/mount.ts';
import {unpinNamespaces} from '../sys/namespace.ts';
import type {Dependencies} from './dependencies.ts';
import {stopSandboxInit} from './sandbox-init.ts';
import {detachNetwork} from './sandbox-network.ts';

/**
 * Gives back what a sandbox holds of the node, containers first gone: init, network, namespaces,
 * shared memory. Idempotent: what was given back already is not asked for again.
 *
 * @throws what the network plugin said; the rest is then still held, and a retry goes on from there
 */
export async function releaseSandbox(sandbox: Sandbox, deps: Dependencies): Promise<void> {
  const {metadata} = sandbox;
  let {networkReleased} = sandbox.status;
  try {
    if (metadata.namespaces.pid === 'pod') await stopSandboxInit(metadata, deps);
    if (!networkReleased) await detachNetwork(metadata, deps);
    networkReleased = true;
    const paths = deps.layout.sandbox(sandbox.id);
    unpinNamespaces(paths.namespaces);
    detachMount(paths.shm);
  } finally {
    // Stopped in any case: no container may start in what is half gone.
    await sandbox.update(
      status =>
        status.state === 'stopped' && status.networkReleased === networkReleased
          ? status
          : {...status, state: 'stopped', addresses: [], networkReleased},
      {mayLag: true}, // a restart sees that its namespaces are gone
    );
  }
}

/** Removes the folder of a sandbox whose mounts are gone. */
export async function removeSandboxFolder({folder, namespaces, shm}: SandboxLayout): Promise<void> {
  unpinNamespaces(namespaces);
  detachMount(shm);
  await rm(folder, {recursive: true, force: true});
}

/** Unmounts what is mounted there; nothing mounted, and nothing there at all, is fine too. */
export function detachMount(target: string): void {
  try {
    unmount(target, {detach: true});
  } catch (error) {
    if (!isErrno(error, 'EINVAL') && !isErrno(error, 'ENOENT')) throw error;
  }
}
