import {isCoded} from '#shared/errors';
import {RpcError} from '../cri/channel.ts';
import {commandErrors} from '../errors.ts';
import type {CommandContext} from './context.ts';
import {queryLimits} from './limits.ts';

/** Pods that are taken down at once: each is a few processes of the host. */
const PODS_AT_ONCE = 8;

/**
 * Removes every pod with its containers and network, so that nothing of them outlives the daemon.
 * The kubelet has to be stopped before, or it makes them anew.
 */
export async function resetCommand(context: CommandContext): Promise<number> {
  const {client, output, signal} = context;
  const limits = queryLimits(context);
  const {items} = await client.runtime.listPodSandbox({}, limits);
  const left = [...items];
  let failed = 0;
  const work = async (): Promise<void> => {
    for (let pod = left.pop(); pod !== undefined; pod = left.pop()) {
      signal.throwIfAborted();
      const name = `${pod.metadata?.namespace ?? ''}/${pod.metadata?.name ?? ''}`;
      try {
        await client.runtime.stopPodSandbox({podSandboxId: pod.id}, {signal});
        await client.runtime.removePodSandbox({podSandboxId: pod.id}, {signal});
        output.write(`removed ${name}\n`);
      } catch (error) {
        if (!(error instanceof RpcError || isCoded(error))) throw error;
        failed++;
        output.writeError(`${name}: ${error.message}\n`);
      }
    }
  };
  await Promise.all(Array.from({length: PODS_AT_ONCE}, work));
  if (failed === 0) return 0;
  output.writeError(
    `${failed} of ${items.length} pods are left\n  next: run the same command again\n`,
  );
  return commandErrors.ERR_CALL_FAILED;
}
