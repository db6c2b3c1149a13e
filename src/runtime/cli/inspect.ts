import {CodedError} from '#shared/errors';
import {
  ContainerStatusResponseSchema,
  ImageStatusResponseSchema,
  PodSandboxStatusResponseSchema,
} from '../cri/gen/cri-v1_pb.ts';
import type {CommandErrorCode} from '../errors.ts';
import {usage} from './arguments.ts';
import type {CommandContext} from './context.ts';
import {tryFind} from './find.ts';
import {queryLimits} from './limits.ts';
import {formatJson} from './output.ts';

/** All about a container, pod or image, as the verbose status of CRI. */
export async function inspectCommand(context: CommandContext): Promise<number> {
  const {client, words, output} = context;
  const [name, ...more] = words;
  if (name === undefined || more.length > 0) throw usage('inspect takes one id or image');
  const limits = queryLimits(context);
  const found = await tryFind(client, name, {...limits, verbose: true});
  if (found?.kind === 'container') {
    output.write(formatJson(ContainerStatusResponseSchema, found.answer));
    return 0;
  }
  if (found?.kind === 'pod') {
    output.write(formatJson(PodSandboxStatusResponseSchema, found.answer));
    return 0;
  }
  const image = await client.image.imageStatus({image: {image: name}, verbose: true}, limits);
  if (image.image === undefined) throw notFound(name);
  output.write(formatJson(ImageStatusResponseSchema, image));
  return 0;
}

function notFound(name: string): CodedError<CommandErrorCode> {
  return new CodedError('ERR_NOT_FOUND', `no container, pod or image is called ${name}`, {
    hint: 'list them with "slipway-cri ps -a", "slipway-cri pods" and "slipway-cri images"',
  });
}
