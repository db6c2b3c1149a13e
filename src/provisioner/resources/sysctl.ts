import {sha256Hex} from '#shared/digest';
import type {SysctlResource} from '../role/resource.ts';
import {quote} from '#shared/quote';
import type {ResourceKind} from './kind.ts';
import {sysctlPath} from './probe.ts';

export const sysctlKind: ResourceKind<SysctlResource> = {
  digest: ({value}) => sha256Hex(value),

  diff({key, value}, {probe}) {
    const present = probe.sysctls.get(key);
    if (present === value.replaceAll(/\s+/g, ' ').trim()) return undefined;
    const summary = `${present ?? 'absent'} → ${value}`;
    return {id: `sysctl:${key}`, action: 'update', summary};
  },

  apply: ({key, value}) => `printf '%s\\n' ${quote([value])} > ${quote([sysctlPath(key)])}`,

  record({key}, {probe, state}) {
    const recorded = state.resources[`sysctl:${key}`]?.previous;
    const previous = recorded ?? probe.sysctls.get(key);
    return previous === undefined ? {} : {previous};
  },

  remove: (key, {previous}) =>
    previous === undefined
      ? ':'
      : `printf '%s\\n' ${quote([previous])} > ${quote([sysctlPath(key)])} || :`,
};
