import {CodedError} from '#shared/errors';
import {RpcError, type CallLimits} from '../cri/channel.ts';
import type {ContainerStatusResponse, PodSandboxStatusResponse} from '../cri/gen/cri-v1_pb.ts';
import type {CriClient} from '../client/connect.ts';
import type {CommandErrorCode} from '../errors.ts';

/** What an id stands for. */
export type Found =
  | {readonly kind: 'container'; readonly id: string; readonly answer: ContainerStatusResponse}
  | {readonly kind: 'pod'; readonly id: string; readonly answer: PodSandboxStatusResponse};

/**
 * The container or pod with this id or beginning of one.
 *
 * @throws CodedError ERR_NOT_FOUND
 */
export async function findById(
  client: CriClient,
  id: string,
  {verbose = false, ...limits}: CallLimits & {readonly verbose?: boolean},
): Promise<Found> {
  const found = await tryFind(client, id, {verbose, ...limits});
  if (found !== undefined) return found;
  throw new CodedError<CommandErrorCode>('ERR_NOT_FOUND', `no container or pod has the id ${id}`, {
    hint: 'list them with "slipway-cri ps -a" and "slipway-cri pods"',
  });
}

/** As `findById`; undefined if there is none. */
export async function tryFind(
  client: CriClient,
  id: string,
  {verbose = false, ...limits}: CallLimits & {readonly verbose?: boolean},
): Promise<Found | undefined> {
  const container = await ifFound(
    client.runtime.containerStatus({containerId: id, verbose}, limits),
  );
  if (container !== undefined) {
    return {kind: 'container', id: container.status?.id ?? id, answer: container};
  }
  const pod = await ifFound(client.runtime.podSandboxStatus({podSandboxId: id, verbose}, limits));
  return pod && {kind: 'pod', id: pod.status?.id ?? id, answer: pod};
}

async function ifFound<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof RpcError && error.code === 'NOT_FOUND') return undefined;
    throw error;
  }
}
