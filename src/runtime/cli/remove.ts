import {usage} from './arguments.ts';
import type {CommandContext} from './context.ts';
import {findById} from './find.ts';
import {queryLimits} from './limits.ts';

/** What a process gets between SIGTERM and SIGKILL. */
const STOP_SECONDS_DEFAULT = 10;

/** Stops containers, and pods with theirs. */
export async function stopCommand(context: CommandContext): Promise<number> {
  const {client, words, options, output, signal} = context;
  if (words.length === 0) throw usage('stop takes at least one id');
  const seconds = Math.ceil((options.timeoutMs ?? STOP_SECONDS_DEFAULT * 1000) / 1000);
  for (const word of words) {
    const {kind, id} = await findById(client, word, queryLimits(context));
    if (kind === 'pod') await client.runtime.stopPodSandbox({podSandboxId: id}, {signal});
    else await client.runtime.stopContainer({containerId: id, timeout: BigInt(seconds)}, {signal});
    output.write(`${id}\n`);
  }
  return 0;
}

/** Removes containers, and pods with theirs, whether they run or not. */
export async function removeCommand(context: CommandContext): Promise<number> {
  const {client, words, output, signal} = context;
  if (words.length === 0) throw usage('rm takes at least one id');
  for (const word of words) {
    const {kind, id} = await findById(client, word, queryLimits(context));
    if (kind === 'pod') {
      await client.runtime.stopPodSandbox({podSandboxId: id}, {signal});
      await client.runtime.removePodSandbox({podSandboxId: id}, {signal});
    } else {
      await client.runtime.removeContainer({containerId: id}, {signal});
    }
    output.write(`${id}\n`);
  }
  return 0;
}
