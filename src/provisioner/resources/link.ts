import {sha256Hex} from '#shared/digest';
import type {LinkResource} from '../role/resource.ts';
import {quote} from '#shared/quote';
import type {ResourceKind} from './kind.ts';

export const linkKind: ResourceKind<LinkResource> = {
  digest: link => sha256Hex(link.target),

  diff(link, {probe}) {
    const id = `link:${link.path}`;
    const found = probe.paths.get(link.path);
    if (found === undefined) return {id, action: 'create', summary: `→ ${link.target}`};
    const present = probe.linkTargets.get(link.path) ?? '';
    if (present === link.target) return undefined;
    return {id, action: 'update', summary: `${present || found.type} → ${link.target}`};
  },

  apply(link) {
    const part = `${link.path}.slipway`;
    return (
      `mkdir -p "$(dirname ${quote([link.path])})"\n` +
      `ln -sfn ${quote([link.target, part])}\nmv -fT ${quote([part, link.path])}`
    );
  },

  remove: path => `rm -f -- ${quote([path])}`,
};
