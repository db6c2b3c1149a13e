import {formatTable} from '#shared/table';
import {
  ContainerState,
  ListContainersResponseSchema,
  ListContainerStatsResponseSchema,
  ListImagesResponseSchema,
  ListPodSandboxResponseSchema,
  PodSandboxState,
  type ContainerStats,
  type PodSandbox,
} from '../cri/gen/cri-v1_pb.ts';
import type {CommandContext} from './context.ts';
import {queryLimits} from './limits.ts';
import {formatAge, formatBytes, formatJson, shortId} from './output.ts';

/** Containers, one per line. */
export async function psCommand(context: CommandContext): Promise<number> {
  const {client, options, output, nowMs} = context;
  const limits = queryLimits(context);
  const filter = options.all ? {} : {state: {state: ContainerState.CONTAINER_RUNNING}};
  const answer = await client.runtime.listContainers({filter}, limits);
  if (options.output === 'json') {
    output.write(formatJson(ListContainersResponseSchema, answer));
    return 0;
  }
  const {items} = await client.runtime.listPodSandbox({}, limits);
  const pods = new Map(items.map(pod => [pod.id, pod]));
  const rows = answer.containers.map(container => [
    shortId(container.id),
    container.image?.userSpecifiedImage || (container.image?.image ?? ''),
    formatAge(container.createdAt, nowMs),
    stateNames[container.state] ?? 'unknown',
    container.metadata?.name ?? '',
    String(container.metadata?.attempt ?? 0),
    podName(pods.get(container.podSandboxId)),
  ]);
  writeTable(context, ['CONTAINER', 'IMAGE', 'AGE', 'STATE', 'NAME', 'ATTEMPT', 'POD'], rows);
  return 0;
}

/** Pod sandboxes, one per line. */
export async function podsCommand(context: CommandContext): Promise<number> {
  const {client, options, output, nowMs} = context;
  const answer = await client.runtime.listPodSandbox({}, queryLimits(context));
  if (options.output === 'json') {
    output.write(formatJson(ListPodSandboxResponseSchema, answer));
    return 0;
  }
  const rows = answer.items.map(pod => [
    shortId(pod.id),
    formatAge(pod.createdAt, nowMs),
    pod.state === PodSandboxState.SANDBOX_READY ? 'ready' : 'not ready',
    podName(pod),
    String(pod.metadata?.attempt ?? 0),
    pod.runtimeHandler || '(default)',
  ]);
  writeTable(context, ['POD', 'AGE', 'STATE', 'NAME', 'ATTEMPT', 'RUNTIME'], rows);
  return 0;
}

/** Images, one line per name. */
export async function imagesCommand(context: CommandContext): Promise<number> {
  const {client, options, output} = context;
  const answer = await client.image.listImages({}, queryLimits(context));
  if (options.output === 'json') {
    output.write(formatJson(ListImagesResponseSchema, answer));
    return 0;
  }
  const rows = answer.images.flatMap(({id, repoTags, repoDigests, size, pinned}) => {
    const names = repoTags.length > 0 ? repoTags : repoDigests;
    return (names.length > 0 ? names : ['(none)']).map(name => [
      name,
      shortId(id),
      formatBytes(size),
      pinned ? 'pinned' : '',
    ]);
  });
  rows.sort(([a = ''], [b = '']) => (a < b ? -1 : 1));
  writeTable(context, ['IMAGE', 'ID', 'SIZE', ''], rows);
  return 0;
}

/** What containers use, one per line. */
export async function statsCommand(context: CommandContext): Promise<number> {
  const {client, options, output} = context;
  const answer = await client.runtime.listContainerStats({}, queryLimits(context));
  if (options.output === 'json') {
    output.write(formatJson(ListContainerStatsResponseSchema, answer));
    return 0;
  }
  writeTable(
    context,
    ['CONTAINER', 'NAME', 'CPU', 'MEMORY', 'DISK', 'POD'],
    answer.stats.map(statsRow),
  );
  return 0;
}

const NANO_CORES_PER_CORE = 1e9;

function statsRow({attributes, cpu, memory, writableLayer}: ContainerStats): readonly string[] {
  const cores = Number(cpu?.usageNanoCores?.value ?? 0n) / NANO_CORES_PER_CORE;
  const labels = attributes?.labels ?? {};
  return [
    shortId(attributes?.id ?? ''),
    attributes?.metadata?.name ?? '',
    `${(cores * 100).toFixed(1)}%`,
    formatBytes(memory?.workingSetBytes?.value ?? 0n),
    formatBytes(writableLayer?.usedBytes?.value ?? 0n),
    [labels['io.kubernetes.pod.namespace'], labels['io.kubernetes.pod.name']]
      .filter(Boolean)
      .join('/'),
  ];
}

const stateNames: Readonly<Record<number, string>> = {
  [ContainerState.CONTAINER_CREATED]: 'created',
  [ContainerState.CONTAINER_RUNNING]: 'running',
  [ContainerState.CONTAINER_EXITED]: 'exited',
};

function podName(pod: PodSandbox | undefined): string {
  const {name = '', namespace = ''} = pod?.metadata ?? {};
  return `${namespace}/${name}`;
}

function writeTable(
  {output}: CommandContext,
  header: readonly string[],
  rows: readonly (readonly string[])[],
): void {
  output.write(`${formatTable(header, rows)}\n`);
}
