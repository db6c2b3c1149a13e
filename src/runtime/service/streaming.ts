import type {AttachRequest, ExecRequest, PortForwardRequest} from '../cri/gen/cri-v1_pb.ts';
import {runningContainer} from './container-exec.ts';
import type {Dependencies} from './dependencies.ts';
import {invalidRequest, sandboxNotFound, sandboxNotReady} from './invalid.ts';

/** CRI v1 Exec: a URL, good for one use within a minute; what it does is `streams.ts`. */
export function exec({containerId, cmd, ...request}: ExecRequest, deps: Dependencies) {
  if (cmd.length === 0) throw invalidRequest('cmd is empty', 'name a command');
  checkStreams(request);
  const {id} = runningContainer(containerId, deps);
  const {stdin, stdout, stderr, tty} = request;
  return Promise.resolve({
    url: deps.streaming.url('exec', {containerId: id, command: cmd, tty, stdin, stdout, stderr}),
  });
}

/** CRI v1 Attach: to the container's own streams. */
export function attach({containerId, ...request}: AttachRequest, deps: Dependencies) {
  checkStreams(request);
  const {id} = runningContainer(containerId, deps);
  const {stdin, stdout, stderr, tty} = request;
  return Promise.resolve({
    url: deps.streaming.url('attach', {containerId: id, tty, stdin, stdout, stderr}),
  });
}

/** CRI v1 PortForward: into the network of a ready sandbox. */
export function portForward({podSandboxId}: PortForwardRequest, deps: Dependencies) {
  const sandbox = deps.sandboxes.find(podSandboxId);
  if (!sandbox) throw sandboxNotFound(podSandboxId);
  if (sandbox.status.state !== 'ready') throw sandboxNotReady(sandbox.id);
  return Promise.resolve({url: deps.streaming.url('portforward', {sandboxId: sandbox.id})});
}

interface Streams {
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

function checkStreams({tty, stdin, stdout, stderr}: Streams): void {
  if (!stdin && !stdout && !stderr) {
    throw invalidRequest('none of stdin, stdout and stderr is asked for', 'ask for one at least');
  }
  if (tty && stderr) {
    throw invalidRequest('tty and stderr exclude each other', 'a terminal has one output: stdout');
  }
}
