import {CodedError} from '#shared/errors';
import type {RuntimeErrorCode} from '../errors.ts';
import type {ContainerResources, HostAbilities} from './input.ts';
import type {OciResources} from './oci-spec.ts';

/** Nothing is limited. */
export const noResources: ContainerResources = {
  cpuPeriod: 0n,
  cpuQuota: 0n,
  cpuShares: 0n,
  memoryLimitInBytes: 0n,
  oomScoreAdj: 0n,
  cpusetCpus: '',
  cpusetMems: '',
  hugepageLimits: [],
  unified: {},
  memorySwapLimitInBytes: 0n,
};

type ResourceAbilities = Pick<HostAbilities, 'cgroupVersion' | 'controllers' | 'swapAccounting'>;

/**
 * The limits of a container in OCI form; 0 and '' are "not set" in the CRI. Swap follows memory
 * when it is not set, so that a limit is a limit.
 * @throws CodedError ERR_REQUEST_INVALID for a swap limit below the memory limit or a bad size.
 */
export function containerResources(
  resources: ContainerResources | undefined,
  {host, pidsLimit}: {readonly host: ResourceAbilities; readonly pidsLimit: number},
): {readonly resources: Omit<OciResources, 'devices'>; readonly notices: readonly string[]} {
  const pids = pidsLimit > 0 && host.controllers.has('pids') ? {pids: {limit: pidsLimit}} : {};
  if (resources === undefined) return {resources: pids, notices: []};
  const hugepages = hugepageLimits(resources, host);
  const unified = unifiedKeys(resources, host);
  return {
    resources: {...cpuAndMemory(resources, host), ...pids, ...hugepages.part, ...unified.part},
    notices: [...hugepages.notices, ...unified.notices],
  };
}

/**
 * The JSON object for `runc update --resources -`: only what a request sets, so that the rest
 * stays as it is. On cgroup v2 the OCI runtime refuses a limit below the present usage; on v1 the
 * kernel does.
 * @throws CodedError ERR_REQUEST_INVALID as containerResources.
 */
export function resourcesForUpdate(
  resources: ContainerResources,
  host: ResourceAbilities,
): OciResources {
  const {memory, ...rest} = cpuAndMemory(resources, host);
  return {
    ...rest,
    ...(memory === undefined
      ? {}
      : {memory: {...memory, ...(host.cgroupVersion === 2 ? {checkBeforeUpdate: true} : {})}}),
    ...unifiedKeys(resources, host).part,
  };
}

function cpuAndMemory(
  resources: ContainerResources,
  host: ResourceAbilities,
): Pick<OciResources, 'cpu' | 'memory'> {
  const {cpuShares, cpuQuota, cpuPeriod, cpusetCpus, cpusetMems} = resources;
  const cpu = {
    ...(cpuShares > 0n ? {shares: cpuShares} : {}),
    ...(cpuQuota !== 0n ? {quota: cpuQuota} : {}),
    ...(cpuPeriod > 0n ? {period: cpuPeriod} : {}),
    ...(cpusetCpus !== '' ? {cpus: checkedSet(cpusetCpus)} : {}),
    ...(cpusetMems !== '' ? {mems: checkedSet(cpusetMems)} : {}),
  };
  const memory = memoryLimits(resources, host);
  return {
    ...(Object.keys(cpu).length > 0 ? {cpu} : {}),
    ...(Object.keys(memory).length > 0 ? {memory} : {}),
  };
}

function memoryLimits(
  {memoryLimitInBytes: limit, memorySwapLimitInBytes: swap}: ContainerResources,
  {swapAccounting}: ResourceAbilities,
): NonNullable<OciResources['memory']> {
  if (limit < -1n || (limit > 0n && swap > 0n && swap < limit)) {
    throw invalid(
      `memory limit ${limit} with swap limit ${swap}: the swap limit counts memory and swap together`,
      'make the swap limit at least as large as the memory limit',
    );
  }
  if (limit === 0n) return swapAccounting && swap !== 0n ? {swap} : {};
  // -1, unlimited, holds for swap as well: a finite sum above an infinite part is refused.
  const sum = limit < 0n || swap === 0n ? limit : swap;
  return swapAccounting ? {limit, swap: sum} : {limit};
}

interface Part<Key extends keyof OciResources> {
  readonly part: Pick<OciResources, Key>;
  readonly notices: readonly string[];
}

/** The kubelet sends a zero for every page size; a machine without the controller loses nothing. */
function hugepageLimits(
  {hugepageLimits: limits}: ContainerResources,
  {controllers}: ResourceAbilities,
): Part<'hugepageLimits'> {
  if (limits.length === 0) return {part: {}, notices: []};
  if (!controllers.has('hugetlb')) {
    return {
      part: {},
      notices: limits.some(({limit}) => limit > 0n)
        ? ['limits of huge pages are left out: the machine has no hugetlb cgroup controller']
        : [],
    };
  }
  for (const {pageSize} of limits) {
    if (!/^[1-9]\d*[KMG]B$/.test(pageSize)) {
      throw invalid(`page size ${JSON.stringify(pageSize)}`, 'write it as 2MB or 1GB');
    }
  }
  const bySize = new Map(limits.map(({pageSize, limit}) => [pageSize, {pageSize, limit}]));
  return {part: {hugepageLimits: [...bySize.values()]}, notices: []};
}

/** Keys of cgroup v2 as they are, e.g. memory.high; there is no v1 form of them. */
function unifiedKeys(
  {unified}: ContainerResources,
  {cgroupVersion}: ResourceAbilities,
): Part<'unified'> {
  const keys = Object.keys(unified);
  if (keys.length === 0) return {part: {}, notices: []};
  if (cgroupVersion === 1) {
    return {part: {}, notices: ['unified cgroup settings are left out: the machine has cgroup v1']};
  }
  const wrong = keys.find(key => !/^[a-z0-9_]+(\.[A-Za-z0-9_]+)+$/.test(key));
  if (wrong === undefined) return {part: {unified}, notices: []};
  throw invalid(
    `unified cgroup setting ${JSON.stringify(wrong)}`,
    'name a file of the cgroup, e.g. memory.high',
  );
}

/** `0-3,5`: what cpuset(7) calls the list format. */
function checkedSet(text: string): string {
  if (/^\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?)*$/.test(text)) return text;
  throw invalid(`cpuset ${JSON.stringify(text)}`, 'write it as 0-3,5');
}

function invalid(message: string, hint: string): CodedError<RuntimeErrorCode> {
  return new CodedError('ERR_REQUEST_INVALID', message, {hint});
}
