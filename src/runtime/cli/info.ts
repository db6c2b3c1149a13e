import {StatusResponseSchema} from '../cri/gen/cri-v1_pb.ts';
import type {CommandContext} from './context.ts';
import {queryLimits} from './limits.ts';
import {formatJson} from './output.ts';

/** Version, conditions and handlers of the daemon; as JSON its configuration too. */
export async function infoCommand(context: CommandContext): Promise<number> {
  const {client, options, output} = context;
  const limits = queryLimits(context);
  const answer = await client.runtime.status({verbose: true}, limits);
  if (options.output === 'json') {
    output.write(formatJson(StatusResponseSchema, answer));
    return 0;
  }
  const {runtimeName, runtimeVersion} = await client.runtime.version({}, limits);
  const {imageFilesystems} = await client.image.imageFsInfo({}, limits);
  const conditions = answer.status?.conditions ?? [];
  const handlers = answer.runtimeHandlers.map(({name}) => name).filter(name => name !== '');
  const lines = [
    `${runtimeName} ${runtimeVersion}`,
    ...conditions.map(({type, status, reason, message}) =>
      status ? `${type}: yes` : `${type}: no, ${reason}: ${message}`,
    ),
    `runtime handlers: ${handlers.join(', ')}`,
    ...imageFilesystems.map(
      ({fsId, usedBytes}) =>
        `images: ${fsId?.mountpoint ?? ''}, ${String(usedBytes?.value ?? 0n)} bytes`,
    ),
  ];
  output.write(`${lines.join('\n')}\n`);
  return 0;
}
