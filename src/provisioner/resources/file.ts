import {sha256Hex} from '#shared/digest';
import type {FileResource} from '../role/resource.ts';
import {quote} from '#shared/quote';
import {heredoc} from './prelude.ts';
import type {ResourceKind} from './kind.ts';
import {compareMode} from './mode.ts';
import {diffText} from './text-diff.ts';

export const fileKind: ResourceKind<FileResource> = {
  digest: file => sha256Hex(`${file.mode.toString(8)}\n${file.content}`),

  diff(file, {probe}) {
    const id = `file:${file.path}`;
    const found = probe.paths.get(file.path);
    if (found === undefined) {
      return {id, action: 'create', summary: 'new file', diff: diffText('', file.content)};
    }
    if (!found.type.startsWith('regular')) {
      return {id, action: 'update', summary: `a ${found.type} is in its place`};
    }
    if (probe.sha256.get(file.path) !== sha256Hex(file.content)) {
      const present = probe.contents.get(file.path);
      return {
        id,
        action: 'update',
        summary: 'content differs',
        ...(present === undefined ? {} : {diff: diffText(present, file.content)}),
      };
    }
    return compareMode(id, file.mode, found);
  },

  apply: file =>
    `[ ! -d ${quote([file.path])} ] || [ -L ${quote([file.path])} ] || rmdir ${quote([file.path])}\n` +
    heredoc(`put ${quote([file.path])} ${file.mode.toString(8)}`, file.content),

  remove: path => `rm -f -- ${quote([path])}`,
};
