import {join} from 'node:path';
import {attach as attachToContainer} from '../conmon/attach.ts';
import {execStream} from '../exec/exec-stream.ts';
import type {StreamingOptions} from '../streaming/streaming.ts';
import {connectTcpInNamespace} from '../sys/socket.ts';
import {runningContainer} from './container-exec.ts';
import type {Dependencies} from './dependencies.ts';
import {sandboxNotFound, sandboxNotReady} from './invalid.ts';

/** The daemon's own network: what a pod of the host network listens in. */
const OWN_NETWORK_NAMESPACE = '/proc/self/ns/net';

/**
 * What clients of the streaming server get, once they have followed the URL of Exec, Attach or
 * PortForward. Everything is looked up anew: the container may have ended meanwhile.
 *
 * @param open the daemon's parts, which know of the streaming server themselves
 */
export function streamHandlers(
  open: () => Dependencies,
): Pick<StreamingOptions, 'exec' | 'attach' | 'portForward'> {
  return {
    exec: async ({containerId, command, tty}, io, signal) => {
      const deps = open();
      const {id, metadata} = runningContainer(containerId, deps);
      return execStream({
        runtime: deps.runtimes.get(metadata.runtimeHandler),
        container: {id, bundle: deps.layout.bundle(id)},
        command,
        terminal: tty,
        io,
        signal: AbortSignal.any([signal, deps.ending]),
      });
    },
    attach: async ({containerId}, {stdin, ...io}, signal) => {
      const deps = open();
      const {id, metadata} = runningContainer(containerId, deps);
      await attachToContainer({
        bundle: deps.layout.bundle(id),
        io: stdin && metadata.stdin ? {...io, stdin} : io,
        terminal: metadata.tty,
        signal: AbortSignal.any([signal, deps.ending]),
      });
    },
    portForward: async ({sandboxId, port}, signal) => {
      const deps = open();
      const sandbox = deps.sandboxes.find(sandboxId);
      if (!sandbox) throw sandboxNotFound(sandboxId);
      if (sandbox.status.state !== 'ready') throw sandboxNotReady(sandbox.id);
      const path =
        sandbox.metadata.namespaces.network === 'pod'
          ? join(deps.layout.sandbox(sandbox.id).namespaces, 'net')
          : OWN_NETWORK_NAMESPACE;
      return connectTcpInNamespace(path, port, signal);
    },
  };
}
