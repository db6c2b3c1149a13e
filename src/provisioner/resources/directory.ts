import {sha256Hex} from '#shared/digest';
import type {DirectoryResource} from '../role/resource.ts';
import {quote} from '#shared/quote';
import type {ResourceKind} from './kind.ts';
import {compareMode} from './mode.ts';

export const directoryKind: ResourceKind<DirectoryResource> = {
  digest: directory => sha256Hex(directory.mode.toString(8)),

  diff(directory, {probe}) {
    const id = `directory:${directory.path}`;
    const found = probe.paths.get(directory.path);
    if (found === undefined) return {id, action: 'create', summary: 'new directory'};
    if (found.type !== 'directory') {
      return {id, action: 'update', summary: `a ${found.type} is in its place`};
    }
    return compareMode(id, directory.mode, found);
  },

  // Fails on purpose when something else has the path: it may be somebody's data.
  apply(directory) {
    const path = quote([directory.path]);
    return `mkdir -p ${path}\nchmod ${directory.mode.toString(8)} ${path}\nchown 0:0 ${path}`;
  },

  // A directory that holds what is not ours stays.
  remove: path => `rmdir --ignore-fail-on-non-empty -- ${quote([path])} 2>/dev/null || :`,
};
