import {sha256Hex} from '#shared/digest';
import type {LineBlockResource} from '../role/resource.ts';
import {quote} from '#shared/quote';
import type {ResourceKind} from './kind.ts';
import {heredoc} from './prelude.ts';
import {diffText} from './text-diff.ts';

export const lineBlockKind: ResourceKind<LineBlockResource> = {
  digest: ({lines}) => sha256Hex(lines.join('\n')),

  diff(block, {probe}) {
    const present = probe.contents.get(block.path) ?? '';
    const wanted = withBlock(present, block);
    if (present === wanted) return undefined;
    const id = `line-block:${block.path}#${block.name}`;
    return {id, action: 'update', summary: 'lines differ', diff: diffText(present, wanted)};
  },

  // The rest of the file is whatever it is at that moment; only the block is ours.
  apply: block =>
    `${removeBlock(block.path, block.name)}\n` +
    heredoc(`base64 -d >> ${quote([block.path])}`, `${blockLines(block).join('\n')}\n`),

  remove(name) {
    const at = name.lastIndexOf('#');
    return removeBlock(name.slice(0, at), name.slice(at + 1));
  },
};

const begin = (name: string) => `# BEGIN slipway ${name}`;
const end = (name: string) => `# END slipway ${name}`;

const blockLines = ({name, lines}: LineBlockResource) => [begin(name), ...lines, end(name)];

function withBlock(text: string, block: LineBlockResource): string {
  const kept: string[] = [];
  let inside = false;
  for (const line of text.split('\n')) {
    if (line === begin(block.name)) inside = true;
    else if (line === end(block.name)) inside = false;
    else if (!inside) kept.push(line);
  }
  if (kept.at(-1) === '') kept.pop();
  return [...kept, ...blockLines(block), ''].join('\n');
}

function removeBlock(path: string, name: string): string {
  const file = quote([path]);
  return `touch ${file}\n` + `sed -i -e '/^${begin(name)}$/,/^${end(name)}$/d' -e '$a\\' ${file}`;
}
