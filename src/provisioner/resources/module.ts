import {sha256Hex} from '#shared/digest';
import type {ModuleResource} from '../role/resource.ts';
import {quote} from '#shared/quote';
import type {ResourceKind} from './kind.ts';

export const moduleKind: ResourceKind<ModuleResource> = {
  digest: ({name}) => sha256Hex(name),

  diff({name}, {probe}) {
    if (probe.modules.has(name)) return undefined;
    return {id: `module:${name}`, action: 'create', summary: 'load'};
  },

  apply: ({name}) => `modprobe -- ${quote([name])}`,

  // A loaded module may be in use by others by now; it is gone after the next boot.
  remove: () => ':',
};
